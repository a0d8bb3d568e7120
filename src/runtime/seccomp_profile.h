/* Seccomp profiles: the runtime spec's form to a BPF program, and Docker's default profile. */
#ifndef BERTH_RUNTIME_SECCOMP_PROFILE_H
#define BERTH_RUNTIME_SECCOMP_PROFILE_H

#include "base/buf.h"
#include "base/error.h"
#include "spec/runtime_config.h"

/* Compiles a profile of the runtime spec. Unknown system call names are skipped. */
int seccomp_profile_compile(const struct runtime_seccomp *profile, struct buf *out,
                            struct error *err);

/* Docker's default profile for a process with these capabilities (names "CAP_X"), on this kernel
 * and architecture (spec: see the table in the .c file). Fills a zeroed struct; free it with
 * json_fields_done(runtime_seccomp_fields). */
void seccomp_profile_default(const struct strv *capabilities, struct runtime_seccomp *out);

/* A profile in Docker's JSON form (archMap, includes/excludes by arch, capability and kernel), as
 * --security-opt seccomp=<json> hands it over, reduced to what applies here. */
int seccomp_profile_decode(const char *text, size_t size, const struct strv *capabilities,
                           struct runtime_seccomp *out, struct error *err);

#endif
