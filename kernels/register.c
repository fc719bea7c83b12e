// Makes the operators known to ONNX Runtime: one call with the options of a session that is about to be opened.
#include "ort.h"

OrtFunctions ort;

/** An operator as ONNX Runtime sees it; its callbacks get this pointer back. */
typedef struct Registered {
  OrtCustomOp base; // first, so that the one is the other's address
  const MwOperator *operator;
} Registered;

static const MwOperator *of(const OrtCustomOp *op) { return ((const Registered *)op)->operator; }

static const char *ORT_CALL name_of(const OrtCustomOp *op) { return of(op)->name; }
static const char *ORT_CALL provider_of(const OrtCustomOp *op) {
  (void)op;
  return "CPUExecutionProvider";
}
static int ORT_CALL input_type(const OrtCustomOp *op, size_t index) { return of(op)->input_types[index]; }
static size_t ORT_CALL input_count(const OrtCustomOp *op) { return of(op)->input_count; }
static int ORT_CALL input_kind(const OrtCustomOp *op, size_t index) {
  return index < of(op)->required_inputs ? ORT_REQUIRED : ORT_OPTIONAL;
}
static int ORT_CALL output_type(const OrtCustomOp *op, size_t index) {
  (void)op, (void)index;
  return ORT_FLOAT;
}
static size_t ORT_CALL output_count(const OrtCustomOp *op) {
  (void)op;
  return 1;
}
static int ORT_CALL output_kind(const OrtCustomOp *op, size_t index) {
  (void)op, (void)index;
  return ORT_REQUIRED;
}
static int ORT_CALL default_memory(const OrtCustomOp *op, size_t index) {
  (void)op, (void)index;
  return 0;
}
static int ORT_CALL one(const OrtCustomOp *op) {
  (void)op;
  return 1;
}
static OrtStatus *ORT_CALL create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **kernel) {
  (void)api;
  return of(op)->create(info, kernel);
}

/** Our two as ONNX Runtime keeps pointers to them: for good, and the same in every thread that makes them. */
static Registered operators[2];

static void describe(Registered *registered, const MwOperator *operator) {
  registered->operator = operator;
  registered->base = (OrtCustomOp){
      .version = ORT_VERSION,
      .GetName = name_of,
      .GetExecutionProviderType = provider_of,
      .GetInputType = input_type,
      .GetInputTypeCount = input_count,
      .GetOutputType = output_type,
      .GetOutputTypeCount = output_count,
      .KernelDestroy = operator->destroy,
      .GetInputCharacteristic = input_kind,
      .GetOutputCharacteristic = output_kind,
      .GetInputMemoryType = default_memory,
      .GetVariadicInputMinArity = one,
      .GetVariadicInputHomogeneity = one,
      .GetVariadicOutputMinArity = one,
      .GetVariadicOutputHomogeneity = one,
      .CreateKernelV2 = create,
      .KernelComputeV2 = operator->compute,
      .GetStartVersion = one,
      .GetEndVersion = one,
  };
}

/**
 * Adds the domain "modelwire" to the options of a session.
 * @return null, or a status of ONNX Runtime's that the caller releases
 */
MW_EXPORT OrtStatus *mw_register(OrtSessionOptions *options, const OrtApiBase *base) {
  const OrtApi *api = base->GetApi(ORT_VERSION);
  if (!api) return 0; // an ONNX Runtime without this version does not load the model either: it knows no such operator
#define ORT_FILL(number, function, result, arguments) ort.function = api->slot[number];
  ORT_FUNCTIONS(ORT_FILL)
#undef ORT_FILL
  describe(&operators[0], &mw_matmul_int4);
  describe(&operators[1], &mw_paged_attention);
  // ONNX Runtime keeps a pointer to it for as long as any session that has it: never freed.
  OrtCustomOpDomain *domain;
  ORT_TRY(ort.CreateCustomOpDomain("modelwire", &domain));
  ORT_TRY(ort.CustomOpDomain_Add(domain, &operators[0].base));
  ORT_TRY(ort.CustomOpDomain_Add(domain, &operators[1].base));
  return ort.AddCustomOpDomain(options, domain);
}
