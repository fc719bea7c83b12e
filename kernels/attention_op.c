// The operator PagedAttention: com.microsoft.GroupQueryAttention over keys and values that lie in blocks of ours.
// Checks all that a graph or a caller can get wrong before any memory is touched, then hands the work to ONNX Runtime's
// threads.
#include "attention.h"
#include "ort.h"
#include "variant.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUERY, KEY, VALUE, COSINES, SINES, META, INPUTS };
enum { MOST_DIMS = 8 };

typedef struct Tensor {
  void *data; // null: the input is absent
  size_t rank;
  int64_t dims[MOST_DIMS];
} Tensor;

typedef struct Work {
  MwAttention call;
  const MwAttentionKernels *kernels;
} Work;

__attribute__((format(printf, 1, 2))) static OrtStatus *refuse(const char *format, ...) {
  char message[512];
  int start = snprintf(message, sizeof message, "PagedAttention: ");
  va_list numbers;
  va_start(numbers, format);
  vsnprintf(message + start, sizeof message - (size_t)start, format, numbers);
  va_end(numbers);
  return ort.CreateStatus(ORT_INVALID_ARGUMENT, message);
}

static OrtStatus *read_shape(const OrtTensorInfo *info, Tensor *tensor) {
  ORT_TRY(ort.GetDimensionsCount(info, &tensor->rank));
  if (tensor->rank > MOST_DIMS) return refuse("an input has %zu dimensions, more than %d", tensor->rank, MOST_DIMS);
  return ort.GetDimensions(info, tensor->dims, tensor->rank);
}

static OrtStatus *read_input(const OrtKernelContext *context, size_t index, Tensor *tensor) {
  const OrtValue *value;
  OrtTensorInfo *info;
  *tensor = (Tensor){0};
  ORT_TRY(ort.KernelContext_GetInput(context, index, &value));
  if (!value) return 0;
  ORT_TRY(ort.GetTensorTypeAndShape(value, &info));
  OrtStatus *failed = read_shape(info, tensor);
  ort.ReleaseTensorTypeAndShapeInfo(info);
  if (failed) return failed;
  return ort.GetTensorMutableData((OrtValue *)value, &tensor->data);
}

/** How many rows of how many numbers a tensor is, all but the last dimension taken together. */
static int64_t rows_of(const Tensor *tensor) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < tensor->rank; i++) rows *= tensor->dims[i];
  return rows;
}
static int64_t width_of(const Tensor *tensor) { return tensor->rank ? tensor->dims[tensor->rank - 1] : 0; }

static OrtStatus *check_kv(const char *name, const Tensor *tensor, int64_t tokens, int64_t width) {
  if (tensor->rank < 2 || width_of(tensor) != width || rows_of(tensor) != tokens)
    return refuse("%s must be [%lld, %lld], as the query has tokens and the node heads", name, (long long)tokens,
                  (long long)width);
  return 0;
}

/** Queries, keys and values: apart, or side by side in the query. */
static OrtStatus *take_tokens(MwAttention *call, const Tensor *in, int64_t *tokens) {
  int64_t width = call->heads * call->head_size, kv_width = call->kv_heads * call->head_size;
  int packed = !in[KEY].data && !in[KEY].rank;
  const Tensor *query = &in[QUERY];
  int64_t expected = packed ? width + 2 * kv_width : width;
  if (query->rank < 2 || width_of(query) != expected)
    return refuse("the query must be [..., tokens, %lld], %lld heads and %s%lld of keys and values of %lld numbers",
                  (long long)expected, (long long)call->heads, packed ? "twice " : "apart from them ",
                  (long long)call->kv_heads, (long long)call->head_size);
  *tokens = rows_of(query);
  call->query = query->data;
  call->query_stride = expected;
  if (packed) {
    if (in[VALUE].rank) return refuse("there are values without keys");
    call->kv_stride = expected;
    call->key = call->query ? call->query + width : 0;
    call->value = call->query ? call->key + kv_width : 0;
    return 0;
  }
  ORT_TRY(check_kv("the key", &in[KEY], *tokens, kv_width));
  ORT_TRY(check_kv("the value", &in[VALUE], *tokens, kv_width));
  call->kv_stride = kv_width;
  call->key = in[KEY].data;
  call->value = in[VALUE].data;
  return 0;
}

/** The tables of rotary positions, with the widths that GroupQueryAttention allows. */
static OrtStatus *take_rotary(MwAttention *call, const Tensor *in) {
  const Tensor *cosines = &in[COSINES], *sines = &in[SINES];
  if (cosines->rank != 2 || sines->rank != 2) return refuse("do_rotary is 1: cos_cache and sin_cache must be matrices");
  if (cosines->dims[0] != sines->dims[0] || cosines->dims[1] != sines->dims[1])
    return refuse("cos_cache is [%lld, %lld] and sin_cache [%lld, %lld]", (long long)cosines->dims[0],
                  (long long)cosines->dims[1], (long long)sines->dims[0], (long long)sines->dims[1]);
  int64_t half = cosines->dims[1];
  if (half < 8 || half % 8 != 0 || half > call->head_size / 2)
    return refuse("cos_cache has %lld columns: a multiple of 8 up to half of the head size %lld is known",
                  (long long)half, (long long)call->head_size);
  call->rotary_half = half;
  call->positions = cosines->dims[0];
  call->cosines = cosines->data;
  call->sines = sines->data;
  return 0;
}

static void one_task(void *user, size_t index) {
  const Work *work = user;
  int64_t run = (int64_t)index / work->call.kv_heads, kv_head = (int64_t)index % work->call.kv_heads;
  work->kernels->write(&work->call, run, kv_head);
  work->kernels->attend(&work->call, run, kv_head);
}

static OrtStatus *compute(void *kernel, OrtKernelContext *context) {
  Work work = {.call = *(const MwAttention *)kernel, .kernels = mw_variant_in_use()->attention};
  MwAttention *call = &work.call;
  int with_rotary = call->rotary_half != 0;
  Tensor in[INPUTS];
  int64_t tokens = 0;
  for (size_t i = 0; i < INPUTS; i++) ORT_TRY(read_input(context, i, &in[i]));
  ORT_TRY(take_tokens(call, in, &tokens));
  if (with_rotary) ORT_TRY(take_rotary(call, in));
  if (in[META].rank != 1) return refuse("meta must be a list of numbers");
  char why[256];
  call->meta = in[META].data;
  if (!mw_attention_meta_ok(call, call->meta, in[META].dims[0], tokens, why, sizeof why)) return refuse("%s", why);

  Tensor out = in[QUERY];
  out.dims[out.rank - 1] = call->heads * call->head_size;
  OrtValue *output;
  void *data;
  ORT_TRY(ort.KernelContext_GetOutput(context, 0, out.dims, out.rank, &output));
  ORT_TRY(ort.GetTensorMutableData(output, &data));
  call->output = data;
  // Each task is claimed by itself: a long run and a short one balance.
  size_t tasks = (size_t)(call->meta[MW_META_RUNS] * call->kv_heads);
  return tasks ? ort.KernelContext_ParallelFor(context, one_task, tasks, tasks, &work) : 0;
}

/** What a node may say; rotary_half is only whether it has one until its tables are seen. */
static OrtStatus *read_node(const OrtKernelInfo *info, MwAttention *call) {
  int64_t rotary, interleaved;
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "num_heads", &call->heads));
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "kv_num_heads", &call->kv_heads));
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "head_size", &call->head_size));
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "layer", &call->layer));
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "local_window_size", &call->window));
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "do_rotary", &rotary));
  ORT_TRY(ort.KernelInfoGetAttribute_int64(info, "rotary_interleaved", &interleaved));
  ORT_TRY(ort.KernelInfoGetAttribute_float(info, "scale", &call->scale));
  ORT_TRY(ort.KernelInfoGetAttribute_float(info, "softcap", &call->softcap));
  if (mw_layer_bytes(call->kv_heads, call->head_size, MW_KV_F32) < 0)
    return refuse("%lld heads of keys and values of size %lld are not supported", (long long)call->kv_heads,
                  (long long)call->head_size);
  if (call->heads < 1 || call->heads > 65536 || call->heads % call->kv_heads != 0)
    return refuse("%lld heads cannot share %lld of keys and values", (long long)call->heads,
                  (long long)call->kv_heads);
  if (call->layer < 0) return refuse("layer is %lld", (long long)call->layer);
  if (call->window != -1 && call->window < 1)
    return refuse("local_window_size is %lld, neither -1 nor at least 1", (long long)call->window);
  if (rotary != 0 && rotary != 1) return refuse("do_rotary is %lld", (long long)rotary);
  if (interleaved != 0 && interleaved != 1) return refuse("rotary_interleaved is %lld", (long long)interleaved);
  if (!isfinite(call->scale) || !isfinite(call->softcap) || call->softcap < 0)
    return refuse("scale is %g and softcap %g", (double)call->scale, (double)call->softcap);
  if (call->scale == 0) call->scale = 1.0f / sqrtf((float)call->head_size);
  call->rotary_half = rotary;
  call->interleaved = (int)interleaved;
  return 0;
}

static OrtStatus *create(const OrtKernelInfo *info, void **kernel) {
  MwAttention call = {0};
  ORT_TRY(read_node(info, &call));
  MwAttention *kept = malloc(sizeof *kept);
  if (!kept) return ort.CreateStatus(ORT_FAIL, "PagedAttention: out of memory");
  *kept = call;
  *kernel = kept;
  return 0;
}

/** Bytes of one layer within a block, for who makes the pool. @return -1 for what is not supported */
MW_EXPORT int64_t mw_kv_layer_bytes(int64_t kv_heads, int64_t head_size, int kv_type) {
  return mw_layer_bytes(kv_heads, head_size, kv_type);
}

static const int input_types[INPUTS] = {ORT_FLOAT, ORT_FLOAT, ORT_FLOAT, ORT_FLOAT, ORT_FLOAT, ORT_INT64};

// meta must be there too, but what follows an optional input can only be declared optional.
const MwOperator mw_paged_attention = {
    .name = "PagedAttention",
    .input_count = INPUTS,
    .input_types = input_types,
    .required_inputs = 1,
    .create = create,
    .compute = compute,
    .destroy = free,
};
