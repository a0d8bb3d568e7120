/* The checks of a Dockerfile (docker build --check): what they find is the answer, in two forms. */
#include <string.h>

#include "base/memory.h"
#include "buildkit/internal.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "engine/build.h"

#include "base/banned.h"

void line_range_write(struct json_writer *w, int line)
{
    json_begin_dict(w, NULL);
    for (int i = 0; i < 2; i++) {
        json_begin_dict(w, i ? "end" : "start");
        json_add_int64(w, "line", line);
        json_end_dict(w);
    }
    json_end_dict(w);
}

static void add_metadata(struct map *metadata, const char *name, const char *text)
{
    struct buf *value = NEW(struct buf);

    buf_add(value, text, strlen(text));
    map_set(metadata, name, value);
}

/* What they found, as text and as data. */
struct checks {
    const struct checks_request *request;
    struct str text, json;
    struct json_writer writer;
};

static void take_check_text(void *data, const char *text, size_t size)
{
    struct checks *checks = data;

    str_add_bytes(&checks->text, text, size);
}

static void take_finding(void *data, const struct build_event *event)
{
    struct checks *checks = data;
    struct json_writer *w = &checks->writer;
    CLEANUP(free) char *text = xstrndup(event->text, event->size);

    if (event->type != BUILD_FINDING)
        return;
    json_begin_dict(w, NULL);
    json_add_text(w, "ruleName", event->rule);
    json_add_text(w, "description", "");
    json_add_text(w, "detail", text);
    json_begin_dict(w, "location");
    json_add_int64(w, "sourceIndex", 0);
    json_begin_list(w, "ranges");
    line_range_write(w, event->line);
    json_end_list(w);
    json_end_dict(w);
    json_end_dict(w);
}

/* Why it cannot be built, whatever else was found. */
static void add_error(struct checks *checks, const struct error *why, int line)
{
    struct json_writer *w = &checks->writer;

    json_begin_dict(w, "buildError");
    json_add_text(w, "message", why->text);
    json_begin_dict(w, "location");
    json_add_int64(w, "sourceIndex", 0);
    json_begin_list(w, "ranges");
    line_range_write(w, line);
    json_end_list(w);
    json_end_dict(w);
    json_end_dict(w);
    str_add_format(&checks->text, "ERROR: %s\n", why->text);
}

static void end_findings(struct checks *checks, const struct error *why, int line)
{
    const struct str *file = checks->request->file_text;
    CLEANUP(free) char *data = base64_encode(str_text(file), file->length);
    struct json_writer *w = &checks->writer;

    json_end_list(w);
    json_begin_list(w, "sources");
    json_begin_dict(w, NULL);
    json_add_text(w, "filename", checks->request->file_name);
    json_add_text(w, "language", "Dockerfile");
    json_add_text(w, "data", data);
    json_end_dict(w);
    json_end_list(w);
    if (why)
        add_error(checks, why, line);
    json_end_dict(w);
}

int checks_run(const struct checks_request *request, const struct build_input *input,
               struct build_options *options, struct build_result *result,
               struct frontend_result *out, struct error *err)
{
    struct checks checks = { .request = request };
    struct error why = {};

    checks.writer.out = &checks.json;
    options->stream = take_check_text;
    options->event = take_finding;
    options->data = &checks;
    json_begin_dict(&checks.writer, NULL);
    json_begin_list(&checks.writer, "warnings");
    int built = engine_build(request->engine, input, options, result, &why);
    bool is_broken = built < 0 && why.kind == ERROR_INVALID && result->line > 0;
    end_findings(&checks, is_broken ? &why : NULL, result->line);
    if (built < 0 && !is_broken) {
        error_set(err, why.kind, "%s", why.text);
    } else {
        add_metadata(&out->metadata, "version", "1.0.0");
        add_metadata(&out->metadata, "result.txt", str_text(&checks.text));
        add_metadata(&out->metadata, "result.json", str_text(&checks.json));
        add_metadata(&out->metadata, "result.statuscode",
                     result->finding_count > 0 || is_broken ? "1" : "0");
    }
    str_done(&checks.text);
    str_done(&checks.json);
    return is_broken ? 0 : built;
}
