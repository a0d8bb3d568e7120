/* A host's directory is read for each request: it is small, and may change any time. */
#include "registry/certificates.h"

#include <dirent.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define CERTIFICATE_LIMIT ((size_t)1 << 20)
#define SYSTEM_BUNDLE     "/etc/ssl/certs/ca-certificates.crt"

void certificates_done(struct certificates *certificates)
{
    str_done(&certificates->authorities);
    free(certificates->certificate_path);
    free(certificates->key_path);
    *certificates = (struct certificates){};
}

static void list(const char *path, struct strv *out)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            strv_add(out, entry->d_name);
    if (dir)
        closedir(dir);
    strv_sort(out);
}

static int add_authority(struct certificates *out, const char *path, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(str_done) struct str system = {};

    if (file_read(path, CERTIFICATE_LIMIT, &text, err) < 0)
        return error_context(err, "read %s", path);
    if (!out->authorities.length && file_read(SYSTEM_BUNDLE, CERTIFICATE_LIMIT, &system, NULL) == 0)
        str_add(&out->authorities, str_text(&system));
    str_add_char(&out->authorities, '\n');
    str_add(&out->authorities, str_text(&text));
    return 0;
}

static int add_pair(struct certificates *out, const char *directory, const char *name,
                    struct error *err)
{
    CLEANUP(free) char *certificate = path_join(directory, name);
    CLEANUP(free)
    char *key = xasprintf("%.*s.key", (int)(strlen(certificate) - strlen(".cert")), certificate);

    if (!file_exists(key))
        return error_set(err, ERROR_INVALID,
                         "missing key %s for client certificate %s. CA certificates must use the "
                         "extension .crt",
                         path_base(key), name);
    if (!out->certificate_path) {
        out->certificate_path = TAKE(certificate);
        out->key_path = TAKE(key);
    }
    return 0;
}

static int read_directory(struct certificates *out, const char *directory, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    list(directory, &names);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free) char *path = path_join(directory, names.items[i]);

        if (text_ends(names.items[i], ".crt") && add_authority(out, path, err) < 0)
            return -1;
        if (text_ends(names.items[i], ".cert") && add_pair(out, directory, names.items[i], err) < 0)
            return -1;
    }
    return 0;
}

int certificates_find(const struct strv *directories, const char *host_port,
                      struct certificates *out, struct error *err)
{
    if (strchr(host_port, '/') || host_port[0] == '.')
        return 0;
    for (size_t i = 0; directories && i < directories->count; i++) {
        CLEANUP(free) char *directory = path_join(directories->items[i], host_port);

        if (read_directory(out, directory, err) < 0)
            return -1;
    }
    return 0;
}
