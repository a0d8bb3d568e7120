/* Go's text/template, as far as command-line formats use it: pipelines,
 * {{if}}/{{else}}/{{range}}/{{with}}/{{end}}, variables, {{- trim -}}, comments, parentheses, and
 * the functions json, split, join, title, lower, upper, pad, truncate, index, len, print, printf,
 * println, eq, ne, lt, le, gt, ge, and, or, not, slice, html, js, urlquery, println. Data are JSON
 * values: .Name looks a key up; .APIVersion also finds "ApiVersion", as Go's fields are named. */
#ifndef BERTH_CODEC_TEMPLATE_H
#define BERTH_CODEC_TEMPLATE_H

#include "base/error.h"
#include "base/str.h"
#include "codec/json.h"

struct template;

/* INVALID with Go's style of text: "template parsing error: template: :1: …". */
int template_parse(const char *text, struct template **out, struct error *err);

/* Runs it on one value. A missing key of a dict is an error (map has no entry for key "Foo") as
 * Docker has it. 'method' (may be NULL) is asked for names that are no key: it answers a value that
 * is freed with json_free, or NULL: e.g. .Label with argument "x". */
struct template_methods {
    struct json *(*call)(void *data, const struct json *dot, const char *name,
                         const char *const *arguments, size_t count);
    void *data;
};
int template_run(const struct template *template, const struct json *data,
                 const struct template_methods *methods, struct str *out, struct error *err);

/* The field names that the template prints at its top level, for table headers: calls 'each' with
 * "Name", or for
 * {{.Label "a"}} with ("Label", "a"). */
void template_fields(const struct template *template,
                     void (*each)(void *data, const char *name, const char *argument), void *data);

void template_free(struct template *template);
CLEANUP_POINTER(template_free, struct template)

#endif
