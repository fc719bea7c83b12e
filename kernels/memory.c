// Memory by pages: files that are mapped to be read, and large areas that cost nothing until they are written.
#include "ort.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/** Maps the first `bytes` of a file (UTF-8 path) to be read, shared with all who map it. @return null on failure */
MW_EXPORT void *mw_map_file(const char *path, int64_t bytes) {
  wchar_t wide[32768];
  if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, 32768)) return 0;
  // Others may rename or delete it meanwhile, as elsewhere.
  HANDLE file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, 0, OPEN_EXISTING, 0, 0);
  if (file == INVALID_HANDLE_VALUE) return 0;
  LARGE_INTEGER size;
  int fits = GetFileSizeEx(file, &size) && size.QuadPart >= bytes;
  HANDLE mapping = fits ? CreateFileMappingW(file, 0, PAGE_READONLY, 0, 0, 0) : 0;
  CloseHandle(file);
  if (!mapping) return 0;
  void *address = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, (size_t)bytes);
  CloseHandle(mapping);
  return address;
}

/** An area of zeros. @return null on failure */
MW_EXPORT void *mw_reserve(int64_t bytes) {
  return VirtualAlloc(0, (size_t)bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

/** Gives back what the two above gave. @return 0, or -1 */
MW_EXPORT int mw_unmap(void *address, int64_t bytes) {
  (void)bytes;
  return UnmapViewOfFile(address) || VirtualFree(address, 0, MEM_RELEASE) ? 0 : -1;
}

/** Makes part of a reserved area zeros that cost nothing again. @return 0, or -1 */
MW_EXPORT int mw_discard(void *address, int64_t bytes) {
  if (!VirtualFree(address, (size_t)bytes, MEM_DECOMMIT)) return -1;
  return VirtualAlloc(address, (size_t)bytes, MEM_COMMIT, PAGE_READWRITE) ? 0 : -1;
}

#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

MW_EXPORT void *mw_map_file(const char *path, int64_t bytes) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  struct stat info;
  // Pages beyond the end of the file would end the process when they are read.
  int fits = fstat(file, &info) == 0 && info.st_size >= bytes;
  void *address = fits ? mmap(0, (size_t)bytes, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
  close(file);
  return address == MAP_FAILED ? 0 : address;
}

MW_EXPORT void *mw_reserve(int64_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
  flags |= MAP_NORESERVE; // what is never written is not counted, so a long context costs what is used of it
#endif
  void *address = mmap(0, (size_t)bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
#if defined(MADV_DONTFORK)
  // A child process has no use for it, and starting one would have to account for all of it.
  if (address != MAP_FAILED) madvise(address, (size_t)bytes, MADV_DONTFORK);
#endif
  return address == MAP_FAILED ? 0 : address;
}

MW_EXPORT int mw_unmap(void *address, int64_t bytes) { return munmap(address, (size_t)bytes); }

MW_EXPORT int mw_discard(void *address, int64_t bytes) {
#if defined(__linux__)
  return madvise(address, (size_t)bytes, MADV_DONTNEED);
#else
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  return mmap(address, (size_t)bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED ? -1 : 0;
#endif
}
#endif
