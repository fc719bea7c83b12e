// Holds ort.h against ONNX Runtime's own header, which is named when this is compiled and is no part of the project:
//   cc -fsyntax-only -I kernels -DREAL_HEADER='"…/onnxruntime_c_api.h"' kernels/test/ort_abi.c
// It compiles when every slot number, every member of the operator's struct and every constant is what it is there.
#define OrtStatus MwStatus // both headers declare these names: ours get others
#define OrtValue MwValue
#define OrtSessionOptions MwSessionOptions
#define OrtCustomOpDomain MwCustomOpDomain
#define OrtKernelInfo MwKernelInfo
#define OrtKernelContext MwKernelContext
#define OrtApi MwApi
#define OrtApiBase MwApiBase
#define OrtCustomOp MwCustomOp
#define ORT_FAIL MW_FAIL
#define ORT_INVALID_ARGUMENT MW_INVALID_ARGUMENT
#include "ort.h"
#undef OrtStatus
#undef OrtValue
#undef OrtSessionOptions
#undef OrtCustomOpDomain
#undef OrtKernelInfo
#undef OrtKernelContext
#undef OrtApi
#undef OrtApiBase
#undef OrtCustomOp
#undef ORT_FAIL
#undef ORT_INVALID_ARGUMENT
#undef ORT_CALL
#include REAL_HEADER

#define SLOT(number, function, result, arguments)                                                                     \
  _Static_assert(offsetof(OrtApi, function) == (number) * sizeof(void *), #function " has another slot");
ORT_FUNCTIONS(SLOT)

#define MEMBER(name) _Static_assert(offsetof(OrtCustomOp, name) == offsetof(MwCustomOp, name), #name " lies elsewhere");
MEMBER(version)
MEMBER(CreateKernel)
MEMBER(GetName)
MEMBER(GetExecutionProviderType)
MEMBER(GetInputType)
MEMBER(GetInputTypeCount)
MEMBER(GetOutputType)
MEMBER(GetOutputTypeCount)
MEMBER(KernelCompute)
MEMBER(KernelDestroy)
MEMBER(GetInputCharacteristic)
MEMBER(GetOutputCharacteristic)
MEMBER(GetInputMemoryType)
MEMBER(GetVariadicInputMinArity)
MEMBER(GetVariadicInputHomogeneity)
MEMBER(GetVariadicOutputMinArity)
MEMBER(GetVariadicOutputHomogeneity)
MEMBER(CreateKernelV2)
MEMBER(KernelComputeV2)
MEMBER(InferOutputShapeFn)
MEMBER(GetStartVersion)
MEMBER(GetEndVersion)
MEMBER(GetMayInplace)
MEMBER(ReleaseMayInplace)
MEMBER(GetAliasMap)
MEMBER(ReleaseAliasMap)

_Static_assert(offsetof(OrtApiBase, GetApi) == offsetof(MwApiBase, GetApi), "GetApi");
#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours);
SAME(ORT_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
SAME(ORT_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8)
SAME(ORT_INT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64)
SAME(ORT_REQUIRED, INPUT_OUTPUT_REQUIRED)
SAME(ORT_OPTIONAL, INPUT_OUTPUT_OPTIONAL)
SAME(MW_FAIL, ORT_FAIL)
SAME(MW_INVALID_ARGUMENT, ORT_INVALID_ARGUMENT)
