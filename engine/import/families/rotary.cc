#include "engine/import/families/rotary.h"

#include <cmath>

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/import/families/language_model.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

// The object that says how wavelengths are scaled, and where it stands; an empty one: it does not.
struct Scaling {
  json fields = json::object();
  std::string where;
};

// transformers reads the old name after the new one, and lets it win.
Scaling find_scaling(const json& config, const std::string& path) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!json_has(config, key, path)) continue;
    const json& value = config[key];
    if (!value.is_object()) {
      fail(Status::kBadFile, "%s field \"%s\" is not an object", path.c_str(), key);
    }
    if (value.empty()) continue;
    for (const auto& member : value.items()) {
      if (!member.second.is_object()) continue;
      fail(Status::kUnsupported,
           "%s field \"%s\" has positions of their own for \"%s\"; only one kind for all layers is "
           "supported",
           path.c_str(), key, printable(member.first).c_str());
    }
    return {value, path + " field \"" + key + "\":"};
  }
  return {json::object(), path};
}

void read_llama3(const Scaling& scaling, RotarySpec* spec) {
  spec->scaling = RotaryScaling::kLlama3;
  spec->low_freq_factor = json_number(scaling.fields, "low_freq_factor", scaling.where);
  spec->high_freq_factor = json_number(scaling.fields, "high_freq_factor", scaling.where);
}

void read_yarn(const Scaling& scaling, RotarySpec* spec) {
  spec->scaling = RotaryScaling::kYarn;
  const auto number = [&](const char* key, double otherwise) {
    return json_has(scaling.fields, key, scaling.where)
               ? json_number(scaling.fields, key, scaling.where)
               : otherwise;
  };
  spec->beta_fast = number("beta_fast", 32);
  spec->beta_slow = number("beta_slow", 1);
  spec->truncate = json_bool(scaling.fields, "truncate", scaling.where, true);
  const double mscale = number("mscale", 0), all_dim = number("mscale_all_dim", 0);
  const double ratio = mscale != 0 && all_dim != 0 ? yarn_magnitude(spec->factor, mscale) /
                                                         yarn_magnitude(spec->factor, all_dim)
                                                   : yarn_magnitude(spec->factor);
  spec->attention_factor = number("attention_factor", ratio);
}

std::vector<double> read_factors(const Scaling& scaling, const char* key, int64_t n) {
  const json& list = json_field(scaling.fields, key, scaling.where);
  if (!list.is_array() || std::ssize(list) != n) {
    fail(Status::kBadFile, "%s field \"%s\" is not a list of %lld numbers, one for each pair",
         scaling.where.c_str(), key, static_cast<long long>(n));
  }
  std::vector<double> factors;
  for (const json& factor : list) {
    if (!factor.is_number() || !(factor.get<double>() > 0)) {
      fail(Status::kBadFile, "%s field \"%s\" has %s, which is not a positive number",
           scaling.where.c_str(), key, printable(factor.dump()).c_str());
    }
    factors.push_back(factor.get<double>());
  }
  return factors;
}

// transformers scales the table by a root that Ding et al. give, unless the file says a number. How
// much longer sequences became is the file's "factor" or, without it, the quotient of both lengths.
void read_longrope(const Scaling& scaling, RotarySpec* spec) {
  spec->scaling = RotaryScaling::kLongRope;
  spec->short_factors = read_factors(scaling, "short_factor", spec->dims / 2);
  spec->long_factors = read_factors(scaling, "long_factor", spec->dims / 2);
  const auto original = static_cast<double>(spec->original_max_positions);
  const double longer = json_has(scaling.fields, "factor", scaling.where)
                            ? json_number(scaling.fields, "factor", scaling.where)
                            : static_cast<double>(spec->max_positions) / original;
  constexpr const char* kScale = "attention_factor";
  if (json_has(scaling.fields, kScale, scaling.where)) {
    spec->attention_factor = json_number(scaling.fields, kScale, scaling.where);
  } else if (longer > 1) {
    spec->attention_factor = std::sqrt(1 + std::log(longer) / std::log(original));
  }
}

// The file's number of positions is the length trained on, and the factor says how much longer
// sequences may be: so many more positions there are.
void read_dynamic(const Scaling& scaling, RotarySpec* spec) {
  spec->scaling = RotaryScaling::kDynamicNtk;
  spec->original_max_positions = spec->max_positions;
  const double most = spec->factor * static_cast<double>(spec->max_positions);
  if (!(spec->factor >= 1 && most <= static_cast<double>(file_limits::kPositions))) {
    fail(Status::kUnsupported,
         "%s field \"factor\" is %g: the model would have %g positions, not from %lld to %lld",
         scaling.where.c_str(), spec->factor, most, static_cast<long long>(spec->max_positions),
         static_cast<long long>(file_limits::kPositions));
  }
  spec->max_positions = static_cast<int64_t>(most);
}

std::string type_of(const Scaling& scaling) {
  const std::string old_name = json_string(scaling.fields, "type", scaling.where, "default");
  return json_string(scaling.fields, "rope_type", scaling.where, old_name);
}

constexpr const char* kTypes = "default, dynamic, linear, llama3, longrope, yarn";
constexpr const char* kTypesOfLayers = "default, linear, llama3, yarn";

// `type` is the kind of scaling, one of `types`. `config`, at `path`, has what the scaling's own
// object lacks.
RotarySpec read_scaled(const Scaling& scaling, const std::string& type, const char* types,
                       const json& config, const std::string& path, int64_t head_dim,
                       int64_t max_positions) {
  const auto number = [&](const char* key, double otherwise) {
    if (json_has(scaling.fields, key, scaling.where)) {
      return json_number(scaling.fields, key, scaling.where);
    }
    return json_has(config, key, path) ? json_number(config, key, path) : otherwise;
  };
  RotarySpec spec;
  spec.base = number("rope_theta", 10000);
  spec.max_positions = max_positions;
  spec.dims =
      static_cast<int64_t>(static_cast<double>(head_dim) * number("partial_rotary_factor", 1));
  if (spec.dims < 2 || spec.dims > head_dim || spec.dims % 2 != 0) {
    fail(Status::kUnsupported,
         "%s: %lld of a head's %lld columns would turn by position; that must be an even number of "
         "them",
         path.c_str(), static_cast<long long>(spec.dims), static_cast<long long>(head_dim));
  }
  if (type == "default") return spec;
  if ((std::string(", ") + types + ",").find(", " + type + ",") == std::string::npos) {
    fail(Status::kUnsupported, "%s field \"rope_type\" is \"%s\", not one of: %s",
         scaling.where.c_str(), printable(type).c_str(), types);
  }
  if (type != "longrope") spec.factor = json_number(scaling.fields, "factor", scaling.where);
  if (type == "linear") {
    spec.scaling = RotaryScaling::kLinear;
    return spec;
  }
  if (type == "dynamic") {
    read_dynamic(scaling, &spec);
    return spec;
  }
  // The config's own field wins over the object's, and the longest sequence stands for either.
  constexpr const char* kOriginal = "original_max_position_embeddings";
  spec.original_max_positions =
      json_has(config, kOriginal, path)
          ? json_int(config, kOriginal, path)
          : json_int(scaling.fields, kOriginal, scaling.where, max_positions);
  if (type == "llama3") read_llama3(scaling, &spec);
  if (type == "yarn") read_yarn(scaling, &spec);
  if (type == "longrope") read_longrope(scaling, &spec);
  return spec;
}

}  // namespace

void read_rotary(const json& config, const std::string& path, StackConfig* decoder) {
  const Scaling scaling = find_scaling(config, path);
  RotarySpec& spec = decoder->attention.rotary;
  spec = read_scaled(scaling, type_of(scaling), kTypes, config, path, decoder->attention.head_dim,
                     decoder->max_positions);
  decoder->max_positions = spec.max_positions;
}

void read_phi3_rotary(const json& config, const std::string& path, StackConfig* decoder) {
  const Scaling scaling = find_scaling(config, path);
  std::string type = type_of(scaling);
  if (type == "su" || type == "yarn") type = "longrope";
  decoder->attention.rotary = read_scaled(scaling, type, "default, longrope", config, path,
                                          decoder->attention.head_dim, decoder->max_positions);
}

double read_score_magnitude(const json& config, const std::string& path) {
  const Scaling scaling = find_scaling(config, path);
  constexpr const char* kScale = "mscale_all_dim";
  if (type_of(scaling) == "default" || !json_has(scaling.fields, kScale, scaling.where)) return 1;
  const double scale = json_number(scaling.fields, kScale, scaling.where);
  if (scale == 0) return 1;
  return yarn_magnitude(json_number(scaling.fields, "factor", scaling.where), scale);
}

RotarySpec read_plain_rotary(const json& config, const std::string& path, int64_t head_dim,
                             int64_t max_positions) {
  const Scaling scaling = find_scaling(config, path);
  const std::string type = type_of(scaling);
  if (type != "default") {
    fail(Status::kUnsupported,
         "%s field \"rope_type\" is \"%s\"; in this family only \"default\" is supported",
         scaling.where.c_str(), printable(type).c_str());
  }
  return read_scaled(scaling, type, "default", config, path, head_dim, max_positions);
}

RotarySpec read_rotary_of_layers(const json& fields, const std::string& where, int64_t head_dim,
                                 int64_t max_positions) {
  refuse_partial_rotary(fields, where);
  const Scaling scaling = {fields, where};
  return read_scaled(scaling, type_of(scaling), kTypesOfLayers, json::object(), where, head_dim,
                     max_positions);
}

}  // namespace headlane
