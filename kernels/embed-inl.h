// y[row] = word[id] + type[type_id] + position[pos]: a gather of table rows, bound by memory.

namespace headlane::kernels::HEADLANE_ISA {

inline void embed_f32(const EmbedF32Args& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* word = args.word + args.ids[r] * args.d;
    const float* position = args.position + args.positions[r] * args.d;
    const float* type = args.type ? args.type + (args.types ? args.types[r] : 0) * args.d : nullptr;
    float* y = args.y + r * args.ldy;
    for_each_vector(args.d, [&](int64_t i, int64_t n) {
      F32 sum = load_up_to(word + i, n);
      if (type) sum = sum + load_up_to(type + i, n);
      store_up_to(y + i, sum + load_up_to(position + i, n), n);
    });
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
