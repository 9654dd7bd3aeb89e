import koffi from 'koffi';

/** The names of Ceph's libraries, with the versions of their interfaces that are used here. */
type CephLibrary = 'librados.so.2' | 'librbd.so.1';

// From dlfcn.h of Linux.
const RTLD_NOW = 0x2;
const RTLD_NODELETE = 0x1000;

/**
 * Loads one of Ceph's libraries for good: its own threads go on running when the thread that has loaded it ends.
 *
 * @throws an error with code ENOPKG where it is not installed
 */
export function loadCephLibrary(name: CephLibrary): ReturnType<typeof koffi.load> {
  const open = koffi.load(null).func('void *dlopen(const char *, int)');
  if (open(name, RTLD_NOW + RTLD_NODELETE) === null) {
    throw Object.assign(new Error(`ENOPKG: ${name} is not installed`), { code: 'ENOPKG' });
  }
  return koffi.load(name);
}
