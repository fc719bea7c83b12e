// The part of ONNX Runtime's C interface that the operators use, declared by us: no header of another project is needed
// to build. OrtApi is a struct of function pointers whose order never changes, so a function is a slot number;
// test/ort_abi.c holds every number and struct here against the real header.
#ifndef MODELWIRE_ORT_H
#define MODELWIRE_ORT_H
#include "export.h"
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define ORT_CALL __stdcall
#else
#define ORT_CALL
#endif

typedef struct OrtStatus OrtStatus; // null is success; ONNX Runtime frees what an operator returns
typedef struct OrtValue OrtValue;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtTensorInfo OrtTensorInfo;
typedef struct OrtShapeContext OrtShapeContext;
typedef struct OrtCustomOp OrtCustomOp;

typedef struct OrtApi {
  void *slot[1]; // as many as the version has
} OrtApi;

typedef struct OrtApiBase {
  const OrtApi *(ORT_CALL *GetApi)(uint32_t version);
  const char *(ORT_CALL *GetVersionString)(void);
} OrtApiBase;

// The first version whose table holds every slot below; ONNX Runtime 1.30 serves 1 to 30.
enum { ORT_VERSION = 17 };
enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };            // OrtErrorCode
enum { ORT_FLOAT = 1, ORT_UINT8 = 2, ORT_INT64 = 7 };       // ONNXTensorElementDataType
enum { ORT_REQUIRED = 0, ORT_OPTIONAL = 1 };                // OrtCustomOpInputOutputCharacteristic

// slot number, name, type of the function
#define ORT_FUNCTIONS(F)                                                                                              \
  F(0, CreateStatus, OrtStatus *, (int code, const char *message))                                                    \
  F(26, CreateCustomOpDomain, OrtStatus *, (const char *name, OrtCustomOpDomain **out))                               \
  F(27, CustomOpDomain_Add, OrtStatus *, (OrtCustomOpDomain * domain, const OrtCustomOp *op))                  \
  F(28, AddCustomOpDomain, OrtStatus *, (OrtSessionOptions * options, OrtCustomOpDomain *domain))                     \
  F(51, GetTensorMutableData, OrtStatus *, (OrtValue * value, void **out))                                            \
  F(61, GetDimensionsCount, OrtStatus *, (const OrtTensorInfo *info, size_t *out))                                    \
  F(62, GetDimensions, OrtStatus *, (const OrtTensorInfo *info, int64_t *dims, size_t count))                         \
  F(65, GetTensorTypeAndShape, OrtStatus *, (const OrtValue *value, OrtTensorInfo **out))                             \
  F(85, KernelInfoGetAttribute_float, OrtStatus *, (const OrtKernelInfo *info, const char *name, float *out))         \
  F(86, KernelInfoGetAttribute_int64, OrtStatus *, (const OrtKernelInfo *info, const char *name, int64_t *out))       \
  F(90, KernelContext_GetInput, OrtStatus *, (const OrtKernelContext *context, size_t index, const OrtValue **out))   \
  F(91, KernelContext_GetOutput, OrtStatus *,                                                                         \
    (OrtKernelContext * context, size_t index, const int64_t *dims, size_t count, OrtValue **out))                    \
  F(99, ReleaseTensorTypeAndShapeInfo, void, (OrtTensorInfo * info))                                                  \
  F(274, KernelContext_ParallelFor, OrtStatus *,                                                                      \
    (const OrtKernelContext *context, void (*task)(void *user, size_t index), size_t total, size_t batches, void *user))

// ort(api)->Name(...): the functions by name.
#define ORT_MEMBER(number, name, result, arguments) result(ORT_CALL *name) arguments;
typedef struct OrtFunctions {
  ORT_FUNCTIONS(ORT_MEMBER)
} OrtFunctions;
extern OrtFunctions ort; // filled by register.c before any operator is made

/** Leaves the function with the status, if it is one. */
#define ORT_TRY(call)                                                                                                  \
  do {                                                                                                                 \
    OrtStatus *status_ = (call);                                                                                       \
    if (status_) return status_;                                                                                       \
  } while (0)

// What an operator is to ONNX Runtime. Null members are allowed only where register.c leaves them so.
struct OrtCustomOp {
  uint32_t version;
  void *(ORT_CALL *CreateKernel)(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info);
  const char *(ORT_CALL *GetName)(const OrtCustomOp *op);
  const char *(ORT_CALL *GetExecutionProviderType)(const OrtCustomOp *op);
  int(ORT_CALL *GetInputType)(const OrtCustomOp *op, size_t index);
  size_t(ORT_CALL *GetInputTypeCount)(const OrtCustomOp *op);
  int(ORT_CALL *GetOutputType)(const OrtCustomOp *op, size_t index);
  size_t(ORT_CALL *GetOutputTypeCount)(const OrtCustomOp *op);
  void(ORT_CALL *KernelCompute)(void *kernel, OrtKernelContext *context);
  void(ORT_CALL *KernelDestroy)(void *kernel);
  int(ORT_CALL *GetInputCharacteristic)(const OrtCustomOp *op, size_t index);
  int(ORT_CALL *GetOutputCharacteristic)(const OrtCustomOp *op, size_t index);
  int(ORT_CALL *GetInputMemoryType)(const OrtCustomOp *op, size_t index);
  int(ORT_CALL *GetVariadicInputMinArity)(const OrtCustomOp *op);
  int(ORT_CALL *GetVariadicInputHomogeneity)(const OrtCustomOp *op);
  int(ORT_CALL *GetVariadicOutputMinArity)(const OrtCustomOp *op);
  int(ORT_CALL *GetVariadicOutputHomogeneity)(const OrtCustomOp *op);
  OrtStatus *(ORT_CALL *CreateKernelV2)(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                        void **kernel);
  OrtStatus *(ORT_CALL *KernelComputeV2)(void *kernel, OrtKernelContext *context);
  OrtStatus *(ORT_CALL *InferOutputShapeFn)(const OrtCustomOp *op, OrtShapeContext *context);
  int(ORT_CALL *GetStartVersion)(const OrtCustomOp *op);
  int(ORT_CALL *GetEndVersion)(const OrtCustomOp *op);
  size_t(ORT_CALL *GetMayInplace)(int **input, int **output);
  void(ORT_CALL *ReleaseMayInplace)(int *input, int *output);
  size_t(ORT_CALL *GetAliasMap)(int **input, int **output);
  void(ORT_CALL *ReleaseAliasMap)(int *input, int *output);
};

/** What differs between our operators; register.c makes an OrtCustomOp of it. */
typedef struct MwOperator {
  const char *name;
  size_t input_count;
  const int *input_types; // [input_count], ORT_FLOAT …; the one output is float
  size_t required_inputs; // those after them may be absent
  OrtStatus *(*create)(const OrtKernelInfo *info, void **kernel);
  OrtStatus *(*compute)(void *kernel, OrtKernelContext *context);
  void (*destroy)(void *kernel);
} MwOperator;

extern const MwOperator mw_matmul_int4;    // matmul_op.c
extern const MwOperator mw_paged_attention; // attention_op.c

#endif
