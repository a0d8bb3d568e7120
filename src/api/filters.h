/* The "filters" parameter of lists, prunes and events (spec/api.md 1.7): values of one key are
 * or-ed, keys are and-ed. */
#ifndef BERTH_API_FILTERS_H
#define BERTH_API_FILTERS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"

struct filters {
    struct map keys; /* key → struct strv * */
};

/* Reads {"key":{"value":true}} or {"key":["value"]}; NULL, "" and "null" are no filters, and null
 * is no values of a key. 'accepted' ends in NULL, and NULL accepts every key. INVALID "invalid
 * filter" or "invalid filter 'key'". */
int filters_parse(const char *text, const char *const *accepted, struct filters *out,
                  struct error *err);
void filters_done(struct filters *filters);
CLEANUP_VALUE(filters_done, struct filters)

bool filters_has(const struct filters *filters, const char *key);
/* Never NULL; empty if the key was not given. */
const struct strv *filters_values(const struct filters *filters, const char *key);

/* True if the key was not given or 'value' is one of its values. */
bool filters_match_exactly(const struct filters *filters, const char *key, const char *value);
/* The same with regular expressions, found anywhere in 'value'; bad ones match nothing. */
bool filters_match_pattern(const struct filters *filters, const char *key, const char *value);
/* The same, where 'value' must begin with one of the given values. */
bool filters_match_prefix(const struct filters *filters, const char *key, const char *value);

/* All "label" values ("k" or "k=v") fit 'labels', and none of "label!" does. */
bool filters_match_labels(const struct filters *filters, const struct map *labels);

/* A switch ("true", "1", "false", "0"); 'fallback' if it was not given. INVALID
 * "invalid filter 'dangling=[x]'". */
int filters_bool(const struct filters *filters, const char *key, bool fallback, bool *out,
                 struct error *err);

/* The single value of "until" as a time (a duration counts back from now); 0 if not given. */
int filters_until(const struct filters *filters, int64_t *out_ns, struct error *err);

#endif
