/* What is fetched is put together in a directory of its own, which gets its name when it is whole.
 */
#include "cli/compose_remote.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/distribution.h"
#include "cli/settings.h"
#include "codec/base64.h"
#include "codec/sha256.h"
#include "compose/variable.h"
#include "git/git.h"

#include "base/banned.h"

#define OCI_PREFIX "oci://"

enum { LAYER_LIMIT = 1000, ARTIFACT_SIZE_LIMIT = 16 * 1024 * 1024 };

static bool is_artifact(const char *name)
{
    return text_starts(name, OCI_PREFIX);
}

static bool is_remote(const char *name)
{
    return is_artifact(name) || git_is_source(name);
}

/* Docker's compose has these to switch each of them off. */
static int check_enabled(const char *variable, const char *what, struct error *err)
{
    const char *given = getenv(variable);

    if (text_is_empty(given) || text_is_true(given))
        return 0;
    return error_set(err, ERROR_FORBIDDEN, "%s remote resource is disabled by \"%s\"", what,
                     variable);
}

/* ---- the cache ---- */

static int cache_path(const char *kind, const char *key, char **out, struct error *err)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    CLEANUP(free) char *own = NULL, *directory = NULL;

    if (text_is_empty(cache) && text_is_empty(home))
        return error_set(err, ERROR_NOT_FOUND,
                         "neither XDG_CACHE_HOME nor HOME says where remote files can be kept");
    own = text_is_empty(cache) ? path_join(home, ".cache") : xstrdup(cache);
    directory = xasprintf("%s/berth/compose/%s", own, kind);
    *out = path_join(directory, key);
    return dir_make(directory, 0700, err);
}

/* A new directory beside 'path'. */
static int begin_entry(const char *path, char **out, struct error *err)
{
    char *temporary = xasprintf("%s.XXXXXX", path);

    if (!mkdtemp(temporary)) {
        error_sys(err, "create %s", temporary);
        free(temporary);
        return -1;
    }
    *out = temporary;
    return 0;
}

/* 'result' says whether the entry is whole. Another one may have been quicker: then its entry
 * counts. */
static int end_entry(const char *temporary, const char *path, int result, struct error *err)
{
    struct error unheard;

    if (result == 0 && rename(temporary, path) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        result = error_sys(err, "rename %s", temporary);
    tree_remove(temporary, &unheard);
    return result;
}

/* ---- git ---- */

/* The compose file that a path of a checkout is or has. */
static int find_file(const char *root, const char *subdirectory, char **out, struct error *err)
{
    CLEANUP(free) char *whole = realpath(root, NULL);
    CLEANUP(free) char *joined = path_join(root, subdirectory ? subdirectory : ".");
    CLEANUP(free) char *place = realpath(joined, NULL);
    struct stat status;

    if (!whole || !place || stat(place, &status) < 0)
        return error_set(err, ERROR_NOT_FOUND, "the repository has no %s", subdirectory);
    /* Links may not lead out of it. */
    if (!text_starts(place, whole) || (place[strlen(whole)] && place[strlen(whole)] != '/'))
        return error_set(err, ERROR_INVALID, "git subdirectory path traversal detected: %s",
                         subdirectory);
    if (!S_ISDIR(status.st_mode)) {
        *out = TAKE(place);
        return 0;
    }
    *out = project_file_in(place);
    if (*out)
        return 0;
    return error_set(err, ERROR_NOT_FOUND, "no configuration file provided: not found in %s of it",
                     subdirectory ? subdirectory : "the top");
}

static int fetch_git(const char *name, char **out_path, struct error *err)
{
    CLEANUP(git_source_done) struct git_source source = {};
    CLEANUP(free) char *path = NULL, *temporary = NULL;
    char commit[GIT_COMMIT_SIZE];

    if (check_enabled("COMPOSE_EXPERIMENTAL_GIT_REMOTE", "git", err) < 0 ||
        git_source_read(name, &source, err) < 0)
        return -1;
    source.as_user = true;
    if (git_resolve(&source, -1, commit, err) < 0 || cache_path("git", commit, &path, err) < 0)
        return -1;
    if (!file_exists(path)) {
        if (begin_entry(path, &temporary, err) < 0)
            return -1;
        int result = git_checkout(&source, commit, temporary, -1, err);
        if (end_entry(temporary, path, result, err) < 0)
            return -1;
    }
    return find_file(path, source.subdirectory, out_path, err);
}

/* ---- artifacts ---- */

static int check_artifact(const char *name, const struct json *manifest, struct error *err)
{
    const char *type = json_text(json_get(manifest, "artifactType"));
    const char *config = json_text(json_get(json_get(manifest, "config"), "mediaType"));

    if (text_equal(type, COMPOSE_ARTIFACT_TYPE) ||
        (text_is_empty(type) && text_equal(config, COMPOSE_CONFIG_TYPE)))
        return json_count(json_get(manifest, "layers")) <= LAYER_LIMIT
                   ? 0
                   : error_set(err, ERROR_INVALID, "%s has too many files", name);
    return error_set(err, ERROR_INVALID, "%s is not a compose project OCI artifact, but %s", name,
                     !text_is_empty(type) ? type : config ?: "an index");
}

/* Bytes that a descriptor carries itself, or that its blob has. */
static int read_layer(struct cli *cli, const struct reference *reference, const struct json *layer,
                      struct buf *out, struct error *err)
{
    const char *digest = json_text(json_get(layer, "digest"));
    const char *data = json_text(json_get(layer, "data"));
    CLEANUP(json_free) struct json *answer = NULL;
    char actual[DIGEST_SIZE];

    if (!digest || !digest_is_valid(digest))
        return error_set(err, ERROR_INVALID, "invalid OCI artifact: a layer without a digest");
    if (!data) {
        struct reference blob = { reference->domain, reference->path, NULL, (char *)digest };

        if (distribution_call(cli, "GET", &blob, "blob", false, NULL, &answer, err) < 0)
            return -1;
        data = json_text(json_get(answer, "Raw")) ?: "";
    }
    if (base64_decode(data, out, err) < 0)
        return -1;
    sha256_digest(buf_bytes(out), out->size, actual);
    return strcmp(actual, digest) == 0
               ? 0
               : error_set(err, ERROR_INVALID,
                           "invalid OCI artifact: a layer has the digest %s, "
                           "not %s",
                           actual, digest);
}

/* One that is a name and no more: not a path, and not that of the whole. */
static int check_file_name(const char *name, struct error *err)
{
    if (!text_is_empty(name) && !strpbrk(name, "/\\") && name[0] != '.' &&
        strcmp(name, "compose.yaml") != 0)
        return 0;
    return error_set(err, ERROR_INVALID, "invalid OCI artifact: it names a file \"%s\"",
                     name ? name : "");
}

/* Compose files of the project are the documents of one, the others have names of their own. */
static int add_layer(const struct json *layer, const struct buf *bytes, struct map *files,
                     struct error *err)
{
    const struct json *notes = json_get(layer, "annotations");
    const char *type = json_text(json_get(layer, "mediaType")), *name = "compose.yaml";
    bool is_compose = text_equal(type, COMPOSE_FILE_TYPE);

    if (!is_compose && !text_equal(type, COMPOSE_ENV_FILE_TYPE))
        return 0;
    if (!is_compose || json_get(notes, COMPOSE_NOTE_EXTENDS)) {
        name = json_text(json_get(notes, is_compose ? COMPOSE_NOTE_FILE : COMPOSE_NOTE_ENV_FILE));
        if (check_file_name(name, err) < 0)
            return -1;
    }
    if (memchr(buf_bytes(bytes), 0, bytes->size))
        return error_set(err, ERROR_INVALID, "invalid OCI artifact: %s is no text", name);
    CLEANUP(free) char *text = xstrndup((const char *)buf_bytes(bytes), bytes->size);
    const char *before = map_get(files, name);
    if (before && is_compose) {
        CLEANUP(free) char *both = xasprintf("%s\n---\n%s", before, text);

        map_set_text(files, name, both);
    } else {
        map_set_text(files, name, text);
    }
    return 0;
}

static int write_files(const char *directory, const struct map *files, struct error *err)
{
    MAP_EACH (files, entry) {
        CLEANUP(free) char *path = path_join(directory, entry->key);

        if (file_write_atomic(path, entry->value, strlen(entry->value), 0600, false, err) < 0)
            return -1;
    }
    return 0;
}

static int fetch_files(struct cli *cli, const char *name, const struct reference *reference,
                       const char *raw, const char *directory, struct error *err)
{
    CLEANUP(json_free) struct json *manifest = NULL;
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(map_done) struct map files = {};
    size_t size = 0;

    map_init_empty(&files, free);
    if (base64_decode(raw ?: "", &text, err) < 0 ||
        json_parse((const char *)buf_bytes(&text), text.size, &manifest, err) < 0 ||
        check_artifact(name, manifest, err) < 0)
        return -1;
    const struct json *layers = json_get(manifest, "layers");
    for (size_t i = 0; i < json_count(layers); i++) {
        CLEANUP(buf_done) struct buf bytes = {};

        if (read_layer(cli, reference, json_at(layers, i), &bytes, err) < 0)
            return -1;
        size += bytes.size;
        if (size > ARTIFACT_SIZE_LIMIT)
            return error_set(err, ERROR_INVALID, "%s is too large for compose files", name);
        if (add_layer(json_at(layers, i), &bytes, &files, err) < 0)
            return -1;
    }
    if (!map_has(&files, "compose.yaml"))
        return error_set(err, ERROR_INVALID, "%s has no compose file", name);
    return write_files(directory, &files, err);
}

/* The entry of an artifact; it may be there already. */
static int bring_artifact(struct cli *cli, const char *name, const struct reference *reference,
                          char **out, struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(free) char *temporary = NULL;
    const char *digest = reference->digest;

    if (digest && digest_is_valid(digest)) {
        if (cache_path("oci", strchr(digest, ':') + 1, out, err) < 0)
            return -1;
        if (file_exists(*out))
            return 0;
        free(TAKE(*out));
    }
    if (!cli->client && settings_connect(&cli->client, err) < 0)
        return -1;
    if (distribution_call(cli, "GET", reference, "manifest", false, NULL, &answer, err) < 0)
        return -1;
    digest = json_text(json_get(json_get(answer, "Descriptor"), "digest"));
    if (!digest || !digest_is_valid(digest))
        return error_set(err, ERROR_INVALID, "its registry tells no digest");
    if (cache_path("oci", strchr(digest, ':') + 1, out, err) < 0)
        return -1;
    if (file_exists(*out))
        return 0;
    if (begin_entry(*out, &temporary, err) < 0)
        return -1;
    int result = fetch_files(cli, name, reference, json_text(json_get(answer, "Raw")), temporary,
                             err);
    return end_entry(temporary, *out, result, err);
}

static int fetch_artifact(struct cli *cli, const char *name, char **out_path, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(free) char *path = NULL;

    if (check_enabled("COMPOSE_EXPERIMENTAL_OCI_REMOTE", "OCI", err) < 0)
        return -1;
    if (reference_parse(name + strlen(OCI_PREFIX), &reference, err) < 0 ||
        bring_artifact(cli, name, &reference, &path, err) < 0)
        return error_context(err, "failed to pull OCI resource \"%s\"", name + strlen(OCI_PREFIX));
    *out_path = path_join(path, "compose.yaml");
    return 0;
}

static int fetch(void *data, const char *name, char **out_path, struct error *err)
{
    return is_artifact(name) ? fetch_artifact(data, name, out_path, err)
                             : fetch_git(name, out_path, err);
}

struct remote_files compose_remote_files(struct cli *cli)
{
    return (struct remote_files){ .is_remote = is_remote, .fetch = fetch, .data = cli };
}

/* ---- caution ---- */

static void remember_use(void *data, const struct variable_use *use)
{
    if (!strv_contains(data, use->name))
        strv_add(data, use->name);
}

static void list_uses(const struct yaml *node, struct strv *out)
{
    if (node->kind == YAML_TEXT)
        variable_list(node->text, remember_use, out);
    for (size_t i = 0; i < node->count; i++)
        list_uses(node->items[i], out);
}

/* Variables of ours that the files use: a stranger's may take what they want of them. The files are
 * those that were fetched, whatever their names stand for by now. */
static int list_variables(struct cli *cli, const struct project *fetched, struct strv *out,
                          struct error *err)
{
    struct project_options options = compose_project_options(cli);
    CLEANUP(project_done) struct project project = {};

    options.files = fetched->files;
    options.directory = fetched->directory;
    options.no_interpolate = options.no_consistency = options.no_env_resolution = true;
    if (project_load(&options, &project, err) < 0)
        return -1;
    list_uses(project.model, out);
    list_uses(project.disabled, out);
    strv_sort(out);
    return 0;
}

int compose_remote_confirm(struct cli *cli, const struct project *project, bool assumes_yes,
                           struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    char answer[16] = "";

    if (!project->remotes.count)
        return 0;
    fprintf(stderr, "Your compose stack \"%s\" is stored in \"%s\"\n", project->remotes.items[0],
            project->directory);
    if (list_variables(cli, project, &names, err) < 0)
        return -1;
    if (!names.count)
        return 0;
    fprintf(stderr, "Found the following variables in configuration:\n");
    for (size_t i = 0; i < names.count; i++)
        fprintf(stderr, "  %s=%s\n", names.items[i],
                (const char *)map_get(&project->environment, names.items[i]) ?: "<unset>");
    if (assumes_yes || compose_options(cli)->dry_run)
        return 0;
    fprintf(stderr, "Do you want to proceed with these variables? [Y/n]: ");
    if (!fgets(answer, sizeof(answer), stdin))
        return error_set(err, ERROR_CANCELLED, "\noperation cancelled: nobody answered");
    if (answer[0] == '\n' || answer[0] == 'y' || answer[0] == 'Y')
        return 0;
    return error_set(err, ERROR_CANCELLED, "operation cancelled by user");
}
