/* Names of repositories and tags as the distribution protocol spells them. */
#ifndef BERTH_DISTRIBUTION_NAME_H
#define BERTH_DISTRIBUTION_NAME_H

#include <stdbool.h>

enum { NAME_LENGTH_LIMIT = 255, TAG_LENGTH_LIMIT = 128 };

/* Lower-case words and digits joined by ".", "_", "__" or dashes, parts separated by "/". */
bool name_is_repository(const char *text);
bool name_is_tag(const char *text);
/* Whether 'name' fits a pattern of '*' (anything within one part), '**' (anything at all) and plain
 * characters. */
bool name_matches(const char *pattern, const char *name);

#endif
