// What the library shows to those who load it; everything else is hidden.
#ifndef MODELWIRE_EXPORT_H
#define MODELWIRE_EXPORT_H

#if defined(_WIN32)
#define MW_EXPORT __declspec(dllexport)
#else
#define MW_EXPORT __attribute__((visibility("default")))
#endif

#endif
