/* Versions of the API: "1.51". */
#ifndef BERTH_API_VERSION_H
#define BERTH_API_VERSION_H

#include <stdbool.h>

/* 1.x as one number that grows with the version. */
#define API_VERSION(minor)  (10000 + (minor))
#define API_VERSION_CURRENT API_VERSION(51)
#define API_VERSION_MINIMUM API_VERSION(24)

/* Reads "1.51", "9", "1.51.3" (the third part is ignored). The text holds digits and dots only;
 * numbers too large to matter are cut. */
int api_version_parse(const char *text);

/* True if 'path' begins with "/v<digits and dots>/": then the version text is copied to
 * 'out_text', and *out_rest points at the slash behind it. Longer texts than fit are no version. */
#define API_VERSION_TEXT_SIZE 32
bool api_version_split(const char *path, char out_text[API_VERSION_TEXT_SIZE],
                       const char **out_rest);

#endif
