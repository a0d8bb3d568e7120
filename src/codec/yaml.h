/* YAML: trees that may be changed, read from text (libyaml) and written as text or JSON.
 *
 * Plain scalars mean what Go's yaml.v3 takes them for: null, true and false (not yes, no, on, off),
 * integers in the bases 2, 8, 10 and 16 ("0o17" and "017" are octal), decimals; everything else,
 * and everything quoted, is text. Aliases are expanded to copies, "<<" is merged in. A tree has at
 * most YAML_NODE_LIMIT nodes, so that aliases of aliases cannot make it huge. */
#ifndef BERTH_CODEC_YAML_H
#define BERTH_CODEC_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define YAML_NODE_LIMIT   200000
#define YAML_DEPTH_LIMIT  100
#define YAML_MEMBER_LIMIT 10000 /* of one list or dict that is read */

enum yaml_kind { YAML_NULL, YAML_BOOL, YAML_INTEGER, YAML_REAL, YAML_TEXT, YAML_LIST, YAML_DICT };

/* What "!reset" and "!override" ask for when files are merged. */
enum yaml_tag { YAML_UNTAGGED, YAML_RESET, YAML_OVERRIDE };

/* A node owns what is below it. 'line' counts from 1; 0 for nodes that came from no file. A scalar
 * was written from 'begin' to 'end' of the text, in characters; an alias has the place of what it
 * stands for. */
struct yaml {
    enum yaml_kind kind;
    enum yaml_tag tag;
    int line;
    size_t begin, end;
    const char *file; /* borrowed from whoever parsed */
    bool boolean;
    int64_t integer;
    double real;
    char *text; /* of every scalar but NULL: its value as it was written */
    struct yaml **items;
    char **keys; /* DICT only, beside 'items' */
    size_t count, capacity;
};

/* Reads all documents of a text into one LIST. INVALID "yaml: line N: … (<file>:N)", also for keys
 * that appear twice. */
int yaml_parse(const char *text, size_t size, const char *file, struct yaml **out,
               struct error *err);

struct yaml *yaml_new(enum yaml_kind kind);
struct yaml *yaml_new_text(const char *text);
struct yaml *yaml_new_integer(int64_t value);
struct yaml *yaml_new_bool(bool value);
/* A TEXT (or whatever it is when it is plain) of 'text', at the place of 'like'. */
struct yaml *yaml_new_at(enum yaml_kind kind, const struct yaml *like);
struct yaml *yaml_clone(const struct yaml *node); /* NULL gives NULL */
void yaml_drop(struct yaml *node); /* frees it; libyaml exports a yaml_free of its own */
CLEANUP_POINTER(yaml_drop, struct yaml)
/* Turns 'node' into what 'from' is (which is freed); whoever points to 'node' sees the new value.
 */
void yaml_replace(struct yaml *node, struct yaml *from);

/* Look-ups accept NULL and other kinds than DICT: NULL. */
struct yaml *yaml_get(const struct yaml *dict, const char *key);
struct yaml *yaml_get_path(const struct yaml *dict, const char *first, const char *second);
/* The text of a scalar, as written ("8080" for an INTEGER too); NULL for null, lists, dicts and
 * absent ones. */
const char *yaml_text(const struct yaml *node);
bool yaml_is_true(const struct yaml *node);
bool yaml_is_null(const struct yaml *node);                  /* absent counts */
size_t yaml_count(const struct yaml *node);                  /* 0 for scalars */
bool yaml_equal(const struct yaml *a, const struct yaml *b); /* places do not matter */

/* 'value' is taken. set replaces; take gives it to the caller. */
void yaml_set(struct yaml *dict, const char *key, struct yaml *value);
struct yaml *yaml_take(struct yaml *dict, const char *key);
void yaml_remove(struct yaml *dict, const char *key);
void yaml_add(struct yaml *list, struct yaml *value);
void yaml_remove_at(struct yaml *list_or_dict, size_t index);
void yaml_sort(struct yaml *dict); /* by key */

/* What a plain scalar of that text would be. */
enum yaml_kind yaml_resolve(const char *text, int64_t *out_integer, double *out_real,
                            bool *out_boolean);

/* The block form that yaml.v3 writes, two blanks a level. */
void yaml_write(const struct yaml *node, struct str *out);
void yaml_write_json(const struct yaml *node, struct str *out); /* compact, <>& escaped */

#endif
