/* One table of codes. */
#include "distribution/problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"

#include "base/banned.h"

static const struct {
    const char *name;
    int status;
    const char *message;
} codes[] = {
#define X(name, status, message) { #name, status, message },
    PROBLEMS(X)
#undef X
};

int problem_set(struct problem *problem, enum problem_code code, const char *detail,
                const char *format, ...)
{
    va_list arguments;

    *problem = (struct problem){ .code = code, .status = codes[code].status };
    va_start(arguments, format);
    if (format)
        vsnprintf(problem->message, sizeof(problem->message), format, arguments);
    else
        snprintf(problem->message, sizeof(problem->message), "%s", codes[code].message);
    va_end(arguments);
    snprintf(problem->detail, sizeof(problem->detail), "%s", detail ?: "");
    return -1;
}

int problem_set_status(struct problem *problem, int status)
{
    problem->status = status;
    return -1;
}

int problem_set_detail_key(struct problem *problem, const char *key)
{
    problem->detail_key = key;
    return -1;
}

static enum problem_code code_of(enum error_kind kind)
{
    switch (kind) {
    case ERROR_UNAVAILABLE:
    case ERROR_CANCELLED:
        return PROBLEM_UNAVAILABLE;
    case ERROR_UNAUTHORIZED:
        return PROBLEM_UNAUTHORIZED;
    case ERROR_FORBIDDEN:
        return PROBLEM_DENIED;
    default:
        return PROBLEM_UNKNOWN;
    }
}

int problem_from_error(struct problem *problem, const struct error *err, const char *what)
{
    problem_set(problem, code_of(err->kind), NULL, "%s: %s", what, err->text);
    if (err->sys == ENOSPC || err->sys == EDQUOT)
        problem->status = 507;
    return -1;
}

const char *problem_code_name(enum problem_code code)
{
    return codes[code].name;
}

void problem_write(const struct problem *problem, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_begin_list(&w, "errors");
    json_begin_dict(&w, NULL);
    json_add_text(&w, "code", codes[problem->code].name);
    json_add_text(&w, "message", problem->message);
    if (*problem->detail && problem->detail_key) {
        json_begin_dict(&w, "detail");
        json_add_text(&w, problem->detail_key, problem->detail);
        json_end_dict(&w);
    } else if (*problem->detail) {
        json_add_text(&w, "detail", problem->detail);
    }
    json_end_dict(&w);
    json_end_list(&w);
    json_end_dict(&w);
    str_add_char(out, '\n');
}
