/* Platforms: what an image runs on, as "linux/arm64/v8" or {"os":…,"architecture":…,"variant":…}.
 * Names are normalised as containerd does ("x86_64" is "amd64", "aarch64" is "arm64"). */
#ifndef BERTH_SPEC_PLATFORM_H
#define BERTH_SPEC_PLATFORM_H

#include <stdbool.h>

#include "base/error.h"
#include "codec/json.h"

struct platform {
    char *os, *architecture, *variant, *os_version; /* "" where nothing is said */
};
void platform_done(struct platform *platform);
CLEANUP_VALUE(platform_done, struct platform)

/* What this machine is. */
void platform_native(struct platform *out);

/* "os", "arch", "os/arch" or "os/arch/variant"; what is left out is this machine's. INVALID
 * otherwise ("\"foo\": unknown operating system or architecture: invalid argument"). */
int platform_parse(const char *text, struct platform *out, struct error *err);
/* Either that or a JSON object, as API version 1.48 has it. */
int platform_parse_json(const char *text, struct platform *out, struct error *err);
/* From a descriptor's "platform" or an image's configuration; nothing there gives "". */
void platform_from_json(const struct json *value, struct platform *out);

/* From what an image's configuration says: any may be NULL, no system is Linux. */
void platform_of(const char *os, const char *architecture, const char *variant,
                 struct platform *out);

/* How well an image for 'offered' runs on 'wanted': 0 not at all; the larger, the better. */
int platform_match(const struct platform *wanted, const struct platform *offered);

/* "linux/arm64/v8". */
char *platform_format(const struct platform *platform);

#endif
