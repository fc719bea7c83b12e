// The operator modelwire.MatMulInt4 as ONNX Runtime sees it: reads attributes, holds shapes against them before any
// memory is touched, and lends the product ONNX Runtime's threads.
//   MatMulInt4(A float [..., K], W uint8 [mw_packed_bytes], bias float [N], optional) -> float [..., N]
//   int attributes K, N, bits, block_size, zero_points (0 or 1), scale_type
#include "matmul.h"
#include "ort.h"
#include "variant.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_DIMS = 16 };

/** What a node says. */
typedef struct Node {
  MwWeights form; // without data
  int64_t packed_bytes;
} Node;

typedef struct Tensor {
  void *data;
  int64_t dims[MOST_DIMS];
  size_t rank;
  int64_t count;
} Tensor;

static OrtStatus *refuse(const char *what, int64_t got, int64_t wanted) {
  char message[160];
  snprintf(message, sizeof message, "modelwire.MatMulInt4: %s is %" PRId64 ", not %" PRId64, what, got, wanted);
  return ort.CreateStatus(ORT_INVALID_ARGUMENT, message);
}

static OrtStatus *create(const OrtKernelInfo *info, void **kernel) {
  static const char *const names[] = {"K", "N", "bits", "block_size", "zero_points", "scale_type"};
  int64_t v[6];
  for (int i = 0; i < 6; i++) ORT_TRY(ort.KernelInfoGetAttribute_int64(info, names[i], &v[i]));
  int small = 1; // what is kept as an int
  for (int i = 2; i < 6; i++) small = small && v[i] >= 0 && v[i] <= 128;
  MwWeights form = {0, v[1], v[0], (int)v[2], (int)v[3], v[4] != 0, (int)v[5]};
  MwLayout layout;
  if (!small || v[4] > 1 || mw_layout(&layout, &form)) {
    char message[240];
    snprintf(message, sizeof message,
             "modelwire.MatMulInt4: no form K %" PRId64 ", N %" PRId64 ", bits %" PRId64 ", block_size %" PRId64
             ", zero_points %" PRId64 ", scale_type %" PRId64,
             v[0], v[1], v[2], v[3], v[4], v[5]);
    return ort.CreateStatus(ORT_INVALID_ARGUMENT, message);
  }
  Node *node = malloc(sizeof *node);
  if (!node) return ort.CreateStatus(ORT_FAIL, "modelwire.MatMulInt4: out of memory");
  *node = (Node){form, layout.panels * layout.panel_bytes};
  *kernel = node;
  return 0;
}

static OrtStatus *read_dims(const OrtTensorInfo *info, Tensor *tensor) {
  ORT_TRY(ort.GetDimensionsCount(info, &tensor->rank));
  if (tensor->rank > MOST_DIMS) return refuse("the rank of an input", (int64_t)tensor->rank, MOST_DIMS);
  ORT_TRY(ort.GetDimensions(info, tensor->dims, tensor->rank));
  tensor->count = 1;
  for (size_t i = 0; i < tensor->rank; i++) tensor->count *= tensor->dims[i]; // ONNX Runtime holds that many already
  return 0;
}

/** An input; data is null for one that is absent. */
static OrtStatus *read_input(OrtKernelContext *context, size_t index, Tensor *tensor) {
  const OrtValue *value = 0;
  OrtTensorInfo *info;
  *tensor = (Tensor){0};
  ORT_TRY(ort.KernelContext_GetInput(context, index, &value));
  if (!value) return 0;
  ORT_TRY(ort.GetTensorTypeAndShape(value, &info));
  OrtStatus *status = read_dims(info, tensor);
  ort.ReleaseTensorTypeAndShapeInfo(info);
  if (status) return status;
  return ort.GetTensorMutableData((OrtValue *)value, &tensor->data);
}

static OrtStatus *check(const Node *node, const Tensor *a, const Tensor *weights, const Tensor *bias) {
  if (a->rank < 1) return refuse("the rank of A", 0, 2);
  if (a->dims[a->rank - 1] != node->form.depth)
    return refuse("the last dimension of A", a->dims[a->rank - 1], node->form.depth);
  if (weights->rank != 1) return refuse("the rank of W", (int64_t)weights->rank, 1);
  if (weights->count != node->packed_bytes) return refuse("the length of W", weights->count, node->packed_bytes);
  int64_t misplaced = (int64_t)((uintptr_t)weights->data % 64);
  if (misplaced) return refuse("the address of W modulo 64", misplaced, 0);
  if (bias->data && (bias->rank != 1 || bias->count != node->form.columns))
    return refuse("the length of bias", bias->count, node->form.columns);
  return 0;
}

/** ONNX Runtime's threads, and what it said. */
typedef struct Pool {
  OrtKernelContext *context;
  OrtStatus *status;
} Pool;

static int in_pool(void *user, void (*task)(void *user, size_t index), size_t count, void *argument) {
  Pool *pool = user;
  pool->status = ort.KernelContext_ParallelFor(pool->context, task, count, count, argument);
  return pool->status != 0;
}

static OrtStatus *ORT_CALL compute(void *kernel, OrtKernelContext *context) {
  const Node *node = kernel;
  Tensor a, weights, bias;
  ORT_TRY(read_input(context, 0, &a));
  ORT_TRY(read_input(context, 1, &weights));
  ORT_TRY(read_input(context, 2, &bias));
  ORT_TRY(check(node, &a, &weights, &bias));
  OrtValue *output;
  void *y;
  a.dims[a.rank - 1] = node->form.columns;
  ORT_TRY(ort.KernelContext_GetOutput(context, 0, a.dims, a.rank, &output));
  ORT_TRY(ort.GetTensorMutableData(output, &y));
  MwWeights packed = node->form;
  packed.data = weights.data;
  MwProduct product = {&packed, bias.data, a.data, y, a.count / node->form.depth};
  Pool pool = {context, 0};
  int result = mw_matmul(mw_variant_in_use()->matmul, &product, in_pool, &pool);
  if (pool.status) return pool.status;
  return result ? ort.CreateStatus(ORT_FAIL, "modelwire.MatMulInt4: out of memory for the quantised rows") : 0;
}

static void destroy(void *kernel) { free(kernel); }

static const int input_types[] = {ORT_FLOAT, ORT_UINT8, ORT_FLOAT};

const MwOperator mw_matmul_int4 = {"MatMulInt4", 3, input_types, 2, create, compute, destroy};
