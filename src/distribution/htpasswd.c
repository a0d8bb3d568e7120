/* Checking a password costs tens of milliseconds on purpose: few at a time, and not again for each
 * request of a client. */
#include "distribution/htpasswd.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/password.h"
#include "codec/sha256.h"

#include "base/banned.h"

enum { FILE_SIZE_LIMIT = 4 << 20, CHECK_LIMIT = 2, WAITER_LIMIT = 64, REMEMBERED_LIMIT = 1000 };
#define REMEMBERED_NS (10 * 60 * NS_PER_S)

/* Nobody's: who is unknown waits as long as who is known. */
#define NOBODY "$2y$10$abcdefghijklmnopqrstuu4T826PRnz0Hu6YlprUuxkZxOOj5Fw5S"

struct htpasswd {
    struct map users; /* name → hash */
    char secret[ID_LENGTH + 1];
    struct mutex lock; /* guards what follows */
    struct condition freed;
    int checking, waiting;
    struct map remembered; /* digest of secret, user and password → deadline */
};

static int read_line(struct htpasswd *file, const char *line, struct error *err)
{
    const char *colon = strchr(line, ':');

    if (!*line || *line == '#')
        return 0;
    if (!colon || colon == line)
        return error_set(err, ERROR_INVALID, "must be user:hash");
    if (!password_hash_is_valid(colon + 1))
        return error_set(err, ERROR_INVALID, "the hash must be bcrypt's (htpasswd -B)");
    CLEANUP(free) char *user = xstrndup(line, (size_t)(colon - line));
    map_set_text(&file->users, user, colon + 1);
    return 0;
}

int htpasswd_open(const char *path, struct htpasswd **out, struct error *err)
{
    CLEANUP(htpasswd_free) struct htpasswd *file = NEW(struct htpasswd);
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};

    mutex_init(&file->lock);
    condition_init(&file->freed);
    map_init_empty(&file->remembered, free);
    id_generate(file->secret);
    if (file_read(path, FILE_SIZE_LIMIT, &text, err) < 0)
        return -1;
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++) {
        lines.items[i][strcspn(lines.items[i], "\r")] = 0;
        if (read_line(file, lines.items[i], err) < 0)
            return error_context(err, "%s:%zu", path, i + 1);
    }
    *out = TAKE(file);
    return 0;
}

void htpasswd_free(struct htpasswd *file)
{
    if (!file)
        return;
    map_done(&file->users);
    map_done(&file->remembered);
    mutex_done(&file->lock);
    condition_done(&file->freed);
    free(file);
}

static void make_key(const struct htpasswd *file, const char *user, const char *password,
                     char out[DIGEST_SIZE])
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();

    sha256_add(hash, file->secret, sizeof(file->secret));
    sha256_add(hash, user, strlen(user) + 1);
    sha256_add(hash, password, strlen(password));
    sha256_finish(hash, out);
}

static bool is_remembered_locked(struct htpasswd *file, const char *key) REQUIRES(file->lock)
{
    const uint64_t *deadline = map_get(&file->remembered, key);

    return deadline && *deadline > clock_monotonic_ns();
}

static void remember_locked(struct htpasswd *file, const char *key) REQUIRES(file->lock)
{
    uint64_t *deadline = NEW(uint64_t);

    if (file->remembered.count >= REMEMBERED_LIMIT) {
        map_done(&file->remembered);
        map_init_empty(&file->remembered, free);
    }
    *deadline = clock_monotonic_ns() + REMEMBERED_NS;
    map_set(&file->remembered, key, deadline);
}

static int wait_for_turn_locked(struct htpasswd *file, struct error *err) REQUIRES(file->lock)
{
    if (file->waiting >= WAITER_LIMIT)
        return error_set(err, ERROR_UNAVAILABLE, "too many passwords are being checked");
    file->waiting++;
    while (file->checking >= CHECK_LIMIT)
        condition_wait(&file->freed, &file->lock);
    file->waiting--;
    file->checking++;
    return 0;
}

/* 1: it is known to be right; 0: it is our turn to check it; -1. */
static int enter(struct htpasswd *file, const char *key, struct error *err)
{
    mutex_lock(&file->lock);
    int result = is_remembered_locked(file, key) ? 1 : wait_for_turn_locked(file, err);
    mutex_unlock(&file->lock);
    return result;
}

static void leave(struct htpasswd *file, const char *key, bool is_right)
{
    mutex_lock(&file->lock);
    if (is_right)
        remember_locked(file, key);
    file->checking--;
    condition_signal(&file->freed);
    mutex_unlock(&file->lock);
}

int htpasswd_check(struct htpasswd *file, const char *user, const char *password, struct error *err)
{
    const char *hash = map_get(&file->users, user);
    char key[DIGEST_SIZE];

    make_key(file, user, password, key);
    int entered = enter(file, key, err);
    if (entered != 0)
        return entered < 0 ? -1 : 0;
    bool is_right = password_verify(hash ?: NOBODY, password) && hash;
    leave(file, key, is_right);
    if (!is_right)
        return error_set(err, ERROR_UNAUTHORIZED, "wrong user or password");
    return 0;
}
