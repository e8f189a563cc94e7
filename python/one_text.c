/* headlane._one_text: one short text through headlane_session_embed, without ctypes.
 *
 * A model leaves nothing of Python in the caches of the CPU, and a call through ctypes reads some
 * 25 KB again: its own code, libffi's, and the objects of each argument. This reads some lines. It
 * is of Python's stable ABI, so one file serves all versions from 3.10 on; where it cannot be
 * loaded (PyPy, free-threaded Pythons), ByCtypes of _one.py does the same. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>

#include "headlane/embed.h"

enum {
  kMaxRows = 16,
  /* A text of more takes long enough that Ctrl-C must end it, which _embed.py sees to. */
  kMaxCharacters = 512,
};

typedef headlane_status (*Embed)(headlane_session*, const headlane_texts*,
                                 const headlane_embed_options*, float*, int64_t);

typedef struct {
  PyObject_HEAD Embed embed;
  headlane_session* session;
  const headlane_embed_options* options;
  int64_t columns;
  int64_t offsets[2];
  headlane_texts texts;
  PyObject* idle;    /* a list, which has the session while nobody uses it */
  PyObject* prompt;  /* that options have, */
  PyObject* max_len; /* and this; NULL: nothing yet */
  Py_ssize_t n_rows;
  float* data[kMaxRows];
  PyObject* arrays[kMaxRows]; /* whose numbers lie at data */
  PyObject* set;              /* (prompt, max_len): writes them into options */
  PyObject* more;             /* gives [(array, address)], at most kMaxRows */
  PyObject* check;            /* raises what a status means */
} OneText;

static PyObject* create(PyTypeObject* type, PyObject* args, PyObject* Py_UNUSED(named)) {
  unsigned long long embed, session, options;
  long long columns;
  PyObject *idle, *set, *more, *check;
  if (!PyArg_ParseTuple(args, "KKKLO!OOO", &embed, &session, &options, &columns, &PyList_Type,
                        &idle, &set, &more, &check)) {
    return NULL;
  }
  OneText* self = (OneText*)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
  if (self == NULL) return NULL;
  self->embed = (Embed)(uintptr_t)embed;
  self->session = (headlane_session*)(uintptr_t)session;
  self->options = (const headlane_embed_options*)(uintptr_t)options;
  self->columns = columns;
  self->texts.struct_size = sizeof self->texts;
  self->texts.n_texts = 1;
  self->texts.offsets_64 = self->offsets;
  self->idle = Py_NewRef(idle);
  self->set = Py_NewRef(set);
  self->more = Py_NewRef(more);
  self->check = Py_NewRef(check);
  return (PyObject*)self;
}

static void destroy(PyObject* object) {
  OneText* self = (OneText*)object;
  PyTypeObject* type = Py_TYPE(object);
  while (self->n_rows > 0) Py_DECREF(self->arrays[--self->n_rows]);
  Py_XDECREF(self->idle);
  Py_XDECREF(self->prompt);
  Py_XDECREF(self->max_len);
  Py_XDECREF(self->set);
  Py_XDECREF(self->more);
  Py_XDECREF(self->check);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

/* Arrays are made some at a time, since an array tells its address by a way that takes as long as
 * the rest of a call. */
static int make_rows(OneText* self) {
  PyObject* made = PyObject_CallNoArgs(self->more);
  if (made == NULL) return 0;
  const Py_ssize_t n = PyList_Size(made);
  for (Py_ssize_t i = 0; i < n && i < kMaxRows; ++i) {
    PyObject* array;
    unsigned long long address;
    if (!PyArg_ParseTuple(PyList_GetItem(made, i), "OK", &array, &address)) break;
    self->arrays[self->n_rows] = Py_NewRef(array);
    self->data[self->n_rows++] = (float*)(uintptr_t)address;
  }
  Py_DECREF(made);
  return !PyErr_Occurred() && self->n_rows > 0;
}

static int use_options(OneText* self, PyObject* prompt, PyObject* max_len) {
  if (prompt == self->prompt && max_len == self->max_len) return 1;
  PyObject* done = PyObject_CallFunctionObjArgs(self->set, prompt, max_len, NULL);
  if (done == NULL) return 0;
  Py_DECREF(done);
  Py_XDECREF(self->prompt);
  Py_XDECREF(self->max_len);
  self->prompt = Py_NewRef(prompt);
  self->max_len = Py_NewRef(max_len);
  return 1;
}

/* With the session, which is nobody else's now. */
static PyObject* embed_text(OneText* self, PyObject* text) {
  Py_ssize_t n_bytes;
  const char* data = PyUnicode_AsUTF8AndSize(text, &n_bytes); /* of ASCII it is the text's own */
  if (data == NULL || (self->n_rows == 0 && !make_rows(self))) return NULL;
  self->texts.data = data;
  self->texts.data_bytes = n_bytes;
  self->offsets[1] = n_bytes;
  const Py_ssize_t row = --self->n_rows;
  headlane_status status;
  Py_BEGIN_ALLOW_THREADS status =
      self->embed(self->session, &self->texts, self->options, self->data[row], self->columns);
  Py_END_ALLOW_THREADS if (status == HEADLANE_OK) return self->arrays[row];
  Py_DECREF(self->arrays[row]);
  Py_XDECREF(PyObject_CallFunction(self->check, "i", (int)status));
  return NULL;
}

static PyObject* embed(PyObject* object, PyObject* const* args, Py_ssize_t n_args) {
  OneText* self = (OneText*)object;
  if (n_args != 3)
    return PyErr_Format(PyExc_TypeError, "embed takes a text, a prompt and a length");
  PyObject* text = args[0];
  const Py_ssize_t n_idle = PyList_Size(self->idle);
  if (n_idle == 0 || !PyUnicode_Check(text) || PyUnicode_GetLength(text) > kMaxCharacters)
    Py_RETURN_NONE;
  PyObject* session = Py_NewRef(PyList_GetItem(self->idle, n_idle - 1));
  PyObject* vector = NULL;
  if (PyList_SetSlice(self->idle, n_idle - 1, n_idle, NULL) == 0) {
    if (use_options(self, args[1], args[2])) vector = embed_text(self, text);
    if (vector != NULL) {
      if (PyList_Append(self->idle, session) != 0) Py_CLEAR(vector);
    } else {
      PyObject *kind, *value, *trace;
      PyErr_Fetch(&kind, &value, &trace);
      if (PyList_Append(self->idle, session) != 0) PyErr_Clear();
      PyErr_Restore(kind, value, trace);
    }
  }
  Py_DECREF(session);
  return vector;
}

static PyMethodDef methods[] = {
    {"embed", (PyCFunction)(void (*)(void))embed, METH_FASTCALL,
     "The vector of a text; None: it is no text, or a long one, or the session is in use."},
    {0}};
static PyType_Slot type_slots[] = {
    {Py_tp_new, create}, {Py_tp_dealloc, destroy}, {Py_tp_methods, methods}, {0}};
static PyType_Spec type_spec = {"headlane._one_text.OneText", sizeof(OneText), 0,
                                Py_TPFLAGS_DEFAULT, type_slots};

static int fill(PyObject* module) {
  PyObject* type = PyType_FromSpec(&type_spec);
  if (type == NULL) return -1;
  const int failed = PyModule_AddObjectRef(module, "OneText", type);
  Py_DECREF(type);
  return failed;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT,
                                    "_one_text",
                                    "One short text through the library.",
                                    0,
                                    NULL,
                                    slots,
                                    NULL,
                                    NULL,
                                    NULL};

PyMODINIT_FUNC PyInit__one_text(void) { return PyModuleDef_Init(&module); }
