// What a folder may ask of a session. It may come from anybody, so it gets no more than what bears on speed.

/** More threads than any machine that this is meant for; a folder must not be able to exhaust one. */
export const maxThreads = 1024;

const harmlessEntry =
  /^(session\.(intra_op|inter_op)\.allow_spinning|session\.(force_spinning_stop|dynamic_block_base|set_denormal_as_zero|disable_prepacking|use_device_allocator_for_initializers)|mlas\.[\w.]+)$/;

/** Whether a folder may set this session config entry. Others can name files and libraries. */
export function isHarmlessEntry(key: string): boolean {
  return harmlessEntry.test(key);
}
