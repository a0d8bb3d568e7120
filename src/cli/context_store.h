/* Contexts: engines that have a name. They are kept below the configuration's directory exactly as
 * Docker's client keeps them, so that both see the same ones:
 *
 *     contexts/meta/<sha256 of the name>/meta.json          {"Name","Metadata","Endpoints"}
 *     contexts/tls/<sha256 of the name>/docker/ca.pem, cert.pem, key.pem
 *
 * "default" is no file: it is what flags and the environment say. What other programs wrote into a
 * context (further endpoints, further metadata) is kept when it is changed. */
#ifndef BERTH_CLI_CONTEXT_STORE_H
#define BERTH_CLI_CONTEXT_STORE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"
#include "base/stream.h"
#include "codec/json.h"

#define DEFAULT_CONTEXT "default"

struct engine_context {
    struct json *document;    /* meta.json as it was read; NULL for a new one */
    char *name, *description; /* no description: NULL */
    char *host;               /* NULL: none given */
    bool skip_tls_verify;
    struct map tls;             /* file of the docker endpoint ("ca.pem") -> struct str * */
    char *meta_path, *tls_path; /* its directories */
};
void engine_context_done(struct engine_context *context);
CLEANUP_VALUE(engine_context_done, struct engine_context)

/* INVALID unless the name may be that of a context on disk; "default" is not one. */
int context_check_name(const char *name, struct error *err);

/* Begins a new context of that name, which must be a valid one. */
void context_begin(const char *name, struct engine_context *out);

/* NOT_FOUND if there is none, INVALID if its file cannot be understood. */
int context_load(const char *name, struct engine_context *out, struct error *err);

bool context_exists(const char *name);

/* Sorted names of all that are on disk. A file whose name is not that of its directory is none. */
int context_list(struct strv *out, struct error *err);

/* Writes it whole: TLS files first, so that who finds the context finds them too. */
int context_store(const struct engine_context *context, struct error *err);

int context_remove(const char *name, struct error *err);

/* Host, TLS files and skip_tls_verify of 'from' in place of those of 'context'. */
void context_copy_endpoint(struct engine_context *context, const struct engine_context *from);

/* Sets a TLS file from a file of the user's; NULL takes it away. */
int context_set_tls(struct engine_context *context, const char *name, const char *path,
                    struct error *err);

/* As a tar archive: meta.json, tls/docker/… . 'stream' is borrowed. */
int context_export(const struct engine_context *context, struct stream *out, struct error *err);

/* Reads what context_export (or Docker's client) wrote. 'stream' is taken; the context's name is
 * the one given, not that in the archive. INVALID for archives with anything else in them. */
int context_import(struct stream *stream, const char *name, struct engine_context *out,
                   struct error *err);

#endif
