/* How Go prints values. The history of an image and the texts of errors hold such prints, and
 * clients compare them. */
#ifndef BERTH_BUILD_GOLANG_H
#define BERTH_BUILD_GOLANG_H

#include <stdint.h>

#include "base/str.h"
#include "base/strv.h"

void go_add_quoted(struct str *out, const char *text);             /* %q  "a\"b" */
void go_add_list(struct str *out, const struct strv *list);        /* %v  [a b] */
void go_add_quoted_list(struct str *out, const struct strv *list); /* %q  ["a" "b"] */
void go_add_duration(struct str *out, int64_t ns);                 /* %s  1m30s, 1.5s, 0s */

#endif
