/* JSON: values that were read, a streaming writer, and tables that say how a C struct looks in
 * JSON.
 *
 * Writing follows the Docker engine (Go's encoding/json): compact, <, > and & as \u003c \u003e
 * \u0026, U+2028/9 escaped, invalid UTF-8 as U+FFFD. Field names are matched without regard to case
 * when reading; unknown ones are ignored; null leaves a field as it is (zero). Reading limits depth
 * to JSON_DEPTH_LIMIT. The library behind it is jansson. */
#ifndef BERTH_CODEC_JSON_H
#define BERTH_CODEC_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"
#include "base/strv.h"

#define JSON_DEPTH_LIMIT 256

/* ---- values
 * ------------------------------------------------------------------------------------------------------
 */

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER,
    JSON_REAL,
    JSON_TEXT,
    JSON_LIST,
    JSON_DICT
};

struct json; /* one immutable value with all below it */

/* Exactly one value, white space around it allowed. INVALID with Go's texts: "unexpected EOF" for a
 * cut value, "invalid character 'x' looking for beginning of value", and "unexpected content after
 * JSON" for something behind it. A NUL inside a string is refused. Of equal keys the last wins. */
int json_parse(const char *text, size_t size, struct json **out, struct error *err);
/* For documents whose digest others vouch for: nothing is repaired, and two equal keys in one dict,
 * which readers take differently, are INVALID. */
int json_parse_strict(const char *text, size_t size, struct json **out, struct error *err);
void json_free(struct json *value);
CLEANUP_POINTER(json_free, struct json)

/* All accept NULL as value and then answer "nothing" (JSON_NULL, 0, NULL); results are borrowed. */
enum json_type json_type(const struct json *value);
const struct json *json_get(const struct json *dict, const char *key); /* case matters */
/* In a dict these walk from the front, in the order of the text: to see all members use JSON_EACH.
 */
const struct json *json_at(const struct json *list_or_dict, size_t index);
const char *json_key_at(const struct json *dict, size_t index);
size_t json_count(const struct json *list_or_dict);
const char *json_text(const struct json *value);   /* NULL unless JSON_TEXT */
int64_t json_to_int64(const struct json *value);   /* beyond the signed range: INT64_MAX */
uint64_t json_to_uint64(const struct json *value); /* negative: 0 */
double json_to_double(const struct json *value);   /* integers too */
bool json_is_true(const struct json *value);

/* Walks the members of a dict (of anything else: nothing) in the order of the text. The second one
 * wants a key that the first or itself gave out, as does json_key_value. */
const char *json_first_key(const struct json *dict);
const char *json_next_key(const struct json *dict, const char *key);
const struct json *json_key_value(const char *key);
#define JSON_EACH(dict, key)                                                                       \
    for (const char *key = json_first_key(dict); key; key = json_next_key((dict), key))

void json_write(const struct json *value, struct str *out);       /* compact */
void json_write_plain(const struct json *value, struct str *out); /* and <, >, & as they are */
/* As json.MarshalIndent, but with <, > and & as they are: for people. */
void json_write_indented(const struct json *value, int spaces, struct str *out);

/* ---- writer
 * ------------------------------------------------------------------------------------------------------
 */

/* Writes piece by piece into 'out'. 'key' is NULL inside lists and at the top. */
struct json_writer {
    struct str *out;
    bool needs_comma;
};

void json_begin_dict(struct json_writer *w, const char *key);
void json_end_dict(struct json_writer *w);
void json_begin_list(struct json_writer *w, const char *key);
void json_end_list(struct json_writer *w);
void json_add_text(struct json_writer *w, const char *key,
                   const char *value); /* NULL writes null */
void json_add_text_format(struct json_writer *w, const char *key, const char *format, ...)
    PRINTF(3, 4);
void json_add_int64(struct json_writer *w, const char *key, int64_t value);
void json_add_uint64(struct json_writer *w, const char *key, uint64_t value);
void json_add_bool(struct json_writer *w, const char *key, bool value);
void json_add_null(struct json_writer *w, const char *key);
void json_add_time(struct json_writer *w, const char *key, int64_t wall_ns); /* time_format */
void json_add_date(struct json_writer *w, const char *key, int64_t date_ns); /* date_format */
void json_add_raw(struct json_writer *w, const char *key,
                  const char *json); /* text that is JSON already */
void json_add_value(struct json_writer *w, const char *key, const struct json *value);
void json_add_strv(struct json_writer *w, const char *key,
                   const struct strv *value); /* none: null */
void json_add_texts(struct json_writer *w, const char *key,
                    const struct map *value); /* sorted by key; none: null */
void json_add_double(struct json_writer *w, const char *key, double value); /* not finite: null */
/* A quoted string as JSON has it, into any text. */
void json_quote(struct str *out, const char *text, size_t length);
void json_quote_plain(struct str *out, const char *text, size_t length); /* <, >, & as they are */

/* ---- shapes
 * ------------------------------------------------------------------------------------------------------
 */

/* A list of structs: 'items' NULL is null, otherwise an array of 'count' elements. */
struct json_list {
    void *items;
    size_t count;
};
#define JSON_ITEMS(list, type) ((type *)(list)->items)

struct optional_bool {
    bool is_set, value;
};
struct optional_int64 {
    bool is_set;
    int64_t value;
};

enum json_field_type {
    JSON_FIELD_STRING,        /* char *               NULL is "" when written, unless .null_empty */
    JSON_FIELD_BOOL,          /* bool */
    JSON_FIELD_INT64,         /* int64_t */
    JSON_FIELD_UINT64,        /* uint64_t */
    JSON_FIELD_DOUBLE,        /* double */
    JSON_FIELD_TIME,          /* int64_t wall_ns      RFC 3339 */
    JSON_FIELD_DATE,          /* int64_t date_ns      the same, of 1970 too (clock.h) */
    JSON_FIELD_OPTIONAL_BOOL, /* struct optional_bool null when not set */
    JSON_FIELD_OPTIONAL_INT64, /* struct optional_int64 */
    JSON_FIELD_STRV,           /* struct strv */
    JSON_FIELD_STRV_OR_TEXT,   /* struct strv          a bare string is read as a list of one */
    JSON_FIELD_SET,            /* struct strv          {"a":{},"b":{}} */
    JSON_FIELD_TEXTS,          /* struct map of texts  {"k":"v"}; written sorted by key */
    JSON_FIELD_RAW,            /* char * JSON text     NULL is null */
    JSON_FIELD_OBJECT,         /* struct in place */
    JSON_FIELD_OBJECT_POINTER, /* struct *             NULL is null */
    JSON_FIELD_LIST,           /* struct json_list of structs */
    JSON_FIELD_MAP,            /* struct map of struct pointers {"k":{…}} */
    JSON_FIELD_MAP_OF_LISTS, /* struct map of struct json_list pointers {"k":[{…}]}; a NULL value is
                                null */
    JSON_FIELD_INT64_PAIR,   /* int64_t[2]           [h,w] */
};

struct json_field {
    const char *name; /* NULL ends the table */
    enum json_field_type type;
    size_t offset;
    const struct json_field *fields; /* of the element or object */
    size_t element_size;
    bool omit_empty; /* leave it out when false, 0, "", none or empty */
    bool null_empty; /* STRING: write null for NULL */
    bool write_only; /* ignored when reading */
};

/* The member's type is checked at compile time. Further properties go behind: JSON_BOOL(struct x,
 * tty, "Tty", .omit_empty = true). */
#define JSON_FIELD_(struct_, member_, c_type_, name_, type_, ...)                                  \
    {                                                                                              \
        .name = (name_), .type = (type_),                                                          \
        .offset = offsetof(struct_, member_) +                                                     \
                  0 * sizeof(char[__builtin_types_compatible_p(                                    \
                                      __typeof__(((struct_ *)0)->member_), c_type_)                \
                                      ? 1                                                          \
                                      : -1]),                                                      \
        ##__VA_ARGS__                                                                              \
    }
#define JSON_STRING(s, m, n, ...) JSON_FIELD_(s, m, char *, n, JSON_FIELD_STRING, ##__VA_ARGS__)
#define JSON_BOOL(s, m, n, ...)   JSON_FIELD_(s, m, bool, n, JSON_FIELD_BOOL, ##__VA_ARGS__)
#define JSON_INT64(s, m, n, ...)  JSON_FIELD_(s, m, int64_t, n, JSON_FIELD_INT64, ##__VA_ARGS__)
#define JSON_UINT64(s, m, n, ...) JSON_FIELD_(s, m, uint64_t, n, JSON_FIELD_UINT64, ##__VA_ARGS__)
#define JSON_DOUBLE(s, m, n, ...) JSON_FIELD_(s, m, double, n, JSON_FIELD_DOUBLE, ##__VA_ARGS__)
#define JSON_TIME(s, m, n, ...)   JSON_FIELD_(s, m, int64_t, n, JSON_FIELD_TIME, ##__VA_ARGS__)
#define JSON_DATE(s, m, n, ...)   JSON_FIELD_(s, m, int64_t, n, JSON_FIELD_DATE, ##__VA_ARGS__)
#define JSON_OPTIONAL_BOOL(s, m, n, ...)                                                           \
    JSON_FIELD_(s, m, struct optional_bool, n, JSON_FIELD_OPTIONAL_BOOL, ##__VA_ARGS__)
#define JSON_OPTIONAL_INT64(s, m, n, ...)                                                          \
    JSON_FIELD_(s, m, struct optional_int64, n, JSON_FIELD_OPTIONAL_INT64, ##__VA_ARGS__)
#define JSON_STRV(s, m, n, ...) JSON_FIELD_(s, m, struct strv, n, JSON_FIELD_STRV, ##__VA_ARGS__)
#define JSON_STRV_OR_TEXT(s, m, n, ...)                                                            \
    JSON_FIELD_(s, m, struct strv, n, JSON_FIELD_STRV_OR_TEXT, ##__VA_ARGS__)
#define JSON_SET(s, m, n, ...)   JSON_FIELD_(s, m, struct strv, n, JSON_FIELD_SET, ##__VA_ARGS__)
#define JSON_TEXTS(s, m, n, ...) JSON_FIELD_(s, m, struct map, n, JSON_FIELD_TEXTS, ##__VA_ARGS__)
#define JSON_RAW(s, m, n, ...)   JSON_FIELD_(s, m, char *, n, JSON_FIELD_RAW, ##__VA_ARGS__)
#define JSON_INT64_PAIR(s, m, n, ...)                                                              \
    JSON_FIELD_(s, m, int64_t[2], n, JSON_FIELD_INT64_PAIR, ##__VA_ARGS__)
#define JSON_OBJECT(s, m, n, e, f, ...)                                                            \
    JSON_FIELD_(s, m, e, n, JSON_FIELD_OBJECT, .fields = (f), .element_size = sizeof(e),           \
                ##__VA_ARGS__)
#define JSON_OBJECT_POINTER(s, m, n, e, f, ...)                                                    \
    JSON_FIELD_(s, m, e *, n, JSON_FIELD_OBJECT_POINTER, .fields = (f), .element_size = sizeof(e), \
                ##__VA_ARGS__)
#define JSON_OBJECTS(s, m, n, e, f, ...)                                                           \
    JSON_FIELD_(s, m, struct json_list, n, JSON_FIELD_LIST, .fields = (f),                         \
                .element_size = sizeof(e), ##__VA_ARGS__)
#define JSON_MAP(s, m, n, e, f, ...)                                                               \
    JSON_FIELD_(s, m, struct map, n, JSON_FIELD_MAP, .fields = (f), .element_size = sizeof(e),     \
                ##__VA_ARGS__)
#define JSON_MAP_OF_LISTS(s, m, n, e, f, ...)                                                      \
    JSON_FIELD_(s, m, struct map, n, JSON_FIELD_MAP_OF_LISTS, .fields = (f),                       \
                .element_size = sizeof(e), ##__VA_ARGS__)
#define JSON_END                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Fills a zeroed struct. INVALID with the path of the field when a type does not fit ("json: cannot
 * unmarshal string into Go struct field .HostConfig.Memory of type int64"). On failure nothing
 * needs freeing. Null in a list or a MAP gives a zeroed element. */
int json_decode(const struct json_field *fields, const char *text, size_t size, void *out,
                struct error *err);
int json_decode_value(const struct json_field *fields, const struct json *value, void *out,
                      struct error *err);

/* Writes the struct as one JSON object. */
void json_encode(const struct json_field *fields, const void *object, struct str *out);
void json_add_object(struct json_writer *w, const char *key, const struct json_field *fields,
                     const void *object);
/* Writes only the members, into an object that is open: shapes can be put together. */
void json_add_members(struct json_writer *w, const struct json_field *fields, const void *object);

/* Frees what the fields own and zeroes them; members that no field names stay. The elements of a
 * MAP or MAP_OF_LISTS belong to the field, whatever the map's free_value is. */
void json_fields_done(const struct json_field *fields, void *object);

/* A deep copy into a zeroed or uninitialised struct; members that no field names stay. */
void json_fields_copy(const struct json_field *fields, const void *object, void *out);

/* Adds a zeroed element of 'element_size' at the end and returns it; pointers to others go stale.
 */
void *json_list_add(struct json_list *list, size_t element_size);

#endif
