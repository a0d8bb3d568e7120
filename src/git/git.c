/* Git by its program. What it is told comes from strangers: words that could be options are
 * refused, transports are named one by one, and in the daemon it runs in a session of its own that
 * ends with the build. */
#include "git/git.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/text.h"
#include "linux/pidfd.h"
#include "linux/tree.h"

#include "base/banned.h"

#define OUTPUT_LIMIT    ((size_t)4 << 20)
#define COMMAND_LIMIT_S 900
#define SHOWN_LIMIT     400

void git_source_done(struct git_source *source)
{
    free(source->url);
    free(source->reference);
    free(source->subdirectory);
    free(source->checksum);
    *source = (struct git_source){};
}

/* ---- names ---- */

bool git_is_source(const char *text)
{
    static const char *const prefixes[] = { "git://", "git@", "ssh://", "github.com/" };
    size_t length = strcspn(text, "#?");

    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return false;
    return length > 4 && strncmp(text + length - 4, ".git", 4) == 0;
}

/* No option, no blank, nothing that git's own rules of names forbid. */
static int check_reference(const char *reference, struct error *err)
{
    bool is_bad = reference[0] == '-' || strstr(reference, "..") || strstr(reference, "@{");

    for (const char *c = reference; *c; c++)
        is_bad |= (unsigned char)*c <= ' ' || strchr("~^:?*[\\\x7f", *c) != NULL;
    if (is_bad)
        return error_set(err, ERROR_INVALID, "invalid Git reference: %s", reference);
    return 0;
}

static void set(char **field, const char *value)
{
    free(*field);
    *field = *value ? xstrdup(value) : NULL;
}

static int read_query(char *query, struct git_source *out, struct error *err)
{
    CLEANUP(strv_done) struct strv pairs = {};

    strv_split(&pairs, query, '&');
    for (size_t i = 0; i < pairs.count; i++) {
        char *key = pairs.items[i], *value = strchr(key, '=');

        if (value)
            *value++ = 0;
        else
            value = key + strlen(key);
        if (strcmp(key, "ref") == 0 || strcmp(key, "branch") == 0 || strcmp(key, "tag") == 0)
            set(&out->reference, value);
        else if (strcmp(key, "subdir") == 0)
            set(&out->subdirectory, value);
        else if (strcmp(key, "checksum") == 0 || strcmp(key, "commit") == 0)
            set(&out->checksum, value);
        else if (strcmp(key, "keep-git-dir") == 0)
            out->keeps_git_dir = text_is_true(value);
        else if (*key)
            return error_set(err, ERROR_INVALID, "unexpected query \"%s\" in the Git URL", key);
    }
    return 0;
}

int git_source_read(const char *text, struct git_source *out, struct error *err)
{
    CLEANUP(git_source_done) struct git_source source = {};
    CLEANUP(free) char *copy = xstrdup(text);
    char *fragment = strchr(copy, '#'), *query;

    if (fragment)
        *fragment++ = 0;
    query = strchr(copy, '?');
    if (query)
        *query++ = 0;
    if (fragment) {
        char *colon = strchr(fragment, ':');

        if (colon) {
            *colon = 0;
            set(&source.subdirectory, colon + 1);
        }
        set(&source.reference, fragment);
    }
    if (query && read_query(query, &source, err) < 0)
        return -1;
    source.url = strncasecmp(copy, "github.com/", 11) == 0 ? xasprintf("https://%s", copy)
                                                           : xstrdup(copy);
    for (const char *c = source.url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == '\x7f')
            return error_set(err, ERROR_INVALID, "invalid Git URL: %s", text);
    if (source.reference && check_reference(source.reference, err) < 0)
        return -1;
    if (source.checksum && !text_is_hex(source.checksum, strlen(source.checksum)))
        return error_set(err, ERROR_INVALID, "invalid checksum of a Git source: %s",
                         source.checksum);
    *out = source;
    source = (struct git_source){};
    return 0;
}

/* ---- the program ---- */

#define TRANSPORTS "GIT_ALLOW_PROTOCOL=git:http:https:ssh"

extern char **environ;

static char *const daemon_environment[] = {
    (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    (char *)"HOME=/nonexistent",
    (char *)"LC_ALL=C.UTF-8",
    (char *)"GIT_CONFIG_NOSYSTEM=1",
    (char *)"GIT_CONFIG_GLOBAL=/dev/null",
    (char *)"GIT_TERMINAL_PROMPT=0",
    (char *)"GIT_ASKPASS=/bin/false",
    (char *)TRANSPORTS,
    (char *)"GIT_SSH_COMMAND=ssh -o BatchMode=yes -o StrictHostKeyChecking=yes",
    (char *)"GIT_HTTP_LOW_SPEED_LIMIT=1",
    (char *)"GIT_HTTP_LOW_SPEED_TIME=60",
    NULL,
};

static bool is_set(const char *name)
{
    return getenv(name) != NULL;
}

/* The user's own, but nothing is asked of anybody. */
static void user_environment(struct strv *out)
{
    for (char **entry = environ; *entry; entry++)
        if (!text_starts(*entry, "GIT_ALLOW_PROTOCOL="))
            strv_add(out, *entry);
    strv_add(out, TRANSPORTS);
    if (!is_set("GIT_TERMINAL_PROMPT"))
        strv_add(out, "GIT_TERMINAL_PROMPT=0");
    if (!is_set("GIT_SSH") && !is_set("GIT_SSH_COMMAND"))
        strv_add(out, "GIT_SSH_COMMAND=ssh -o ControlMaster=no -o BatchMode=yes");
}

/* Reads what the program writes until it has ended. */
static int follow(int pipe_fd, int pidfd, int cancel_fd, struct str *out, struct error *err)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)COMMAND_LIMIT_S * NS_PER_S;
    char block[8192];

    for (;;) {
        struct pollfd fds[] = { { .fd = pipe_fd, .events = POLLIN },
                                { .fd = cancel_fd, .events = POLLIN },
                                { .fd = pidfd, .events = POLLIN } };

        if (poll(fds, 3, 1000) < 0 && errno != EINTR)
            return error_sys(err, "poll");
        if (fds[1].revents)
            return error_set(err, ERROR_CANCELLED, "Build cancelled");
        if (clock_monotonic_ns() > deadline)
            return error_set(err, ERROR_UNAVAILABLE, "git took more than %d s", COMMAND_LIMIT_S);
        if (!fds[0].revents) {
            if (fds[2].revents) /* ended, and said all */
                return 0;
            continue;
        }

        ssize_t count = read(pipe_fd, block, sizeof(block));
        if (count == 0)
            return 0;
        if (count > 0 && out->length < OUTPUT_LIMIT)
            str_add_bytes(out, block, (size_t)count);
    }
}

/* The last line that is not empty. */
static char *last_words(const struct str *text)
{
    CLEANUP(strv_done) struct strv lines = {};

    strv_split(&lines, str_text(text), '\n');
    while (lines.count > 0 && *lines.items[lines.count - 1] == 0)
        strv_remove(&lines, lines.count - 1);
    return lines.count ? xstrndup(lines.items[lines.count - 1], SHOWN_LIMIT) : xstrdup("");
}

/* Runs git; both outputs together are 'out' (may be NULL). */
static int git(const char *directory, const char *const *words, bool as_user, int cancel_fd,
               struct str *out, struct error *err)
{
    CLEANUP(strv_done) struct strv arguments = {}, environment = {};
    CLEANUP(str_done) struct str said = {};
    CLEANUP(close) int read_fd = -1, write_fd = -1, pidfd = -1;
    int ends[2], code = 0;
    pid_t pid;

    strv_add(&arguments, "git");
    if (directory) {
        strv_add(&arguments, "-C");
        strv_add(&arguments, directory);
        /* Hooks and filters come with configuration only, but nothing is left to chance. */
        strv_add(&arguments, "-c");
        strv_add(&arguments, "core.hooksPath=/dev/null");
        strv_add(&arguments, "-c");
        strv_add(&arguments, "safe.directory=*");
        strv_add(&arguments, "-c");
        strv_add(&arguments, "advice.detachedHead=false");
    }
    for (size_t i = 0; words[i]; i++)
        strv_add(&arguments, words[i]);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_sys(err, "make a pipe");
    read_fd = ends[0];
    write_fd = ends[1];

    if (as_user)
        user_environment(&environment);
    const struct process_options options = { .path = "/usr/bin/git",
                                             .arguments = arguments.items,
                                             .environment = as_user ? environment.items
                                                                    : daemon_environment,
                                             .fds = { -1, write_fd, write_fd },
                                             .fd_count = 3,
                                             .new_session = !as_user };
    if (process_spawn(&options, &pid, err) < 0)
        return error_context(err, "start git, which is needed for Git sources");
    close(TAKE_FD(write_fd));
    pidfd = pidfd_open_process(pid, NULL);
    int result = follow(read_fd, pidfd, cancel_fd, &said, err);
    if (result < 0)
        kill(as_user ? pid : -pid, SIGKILL);
    struct error ignored;
    if (process_wait(pid, &code, result < 0 ? &ignored : err) < 0 || result < 0)
        return -1;
    if (code != 0) {
        CLEANUP(free) char *why = last_words(&said);

        return error_set(err, ERROR_UNAVAILABLE, "git %s failed: %s", words[0], why);
    }
    if (out)
        str_add(out, str_text(&said));
    return 0;
}

/* ---- looking up ---- */

static bool is_commit(const char *text)
{
    return text_is_hex(text, 40) || text_is_hex(text, 64);
}

/* Lines of ls-remote are "<commit>\t<ref>". Adds how good a match the ref is: the higher, the
 * better. */
static int rank(const char *wanted, const char *ref)
{
    static const struct {
        const char *format;
        int rank;
    } rows[] = { { "refs/heads/%s", 3 },
                 { "refs/tags/%s^{}", 6 },
                 { "refs/tags/%s", 5 },
                 { "%s", 7 },
                 { "refs/%s", 2 } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *hole = strstr(rows[i].format, "%s");
        CLEANUP(free)
        char *name = xasprintf("%.*s%s%s", (int)(hole - rows[i].format), rows[i].format, wanted,
                               hole + 2);

        if (strcmp(name, ref) == 0)
            return rows[i].rank;
    }
    return 0;
}

static bool choose(const struct str *listing, const char *wanted, char out[GIT_COMMIT_SIZE])
{
    CLEANUP(strv_done) struct strv lines = {};
    int best = 0;

    strv_split(&lines, str_text(listing), '\n');
    for (size_t i = 0; i < lines.count; i++) {
        char *tab = strchr(lines.items[i], '\t');
        int found;

        if (!tab)
            continue;
        *tab = 0;
        found = rank(wanted, tab + 1);
        if (found > best && is_commit(lines.items[i])) {
            snprintf(out, GIT_COMMIT_SIZE, "%s", lines.items[i]);
            best = found;
        }
    }
    return best > 0;
}

int git_resolve(const struct git_source *source, int cancel_fd, char out_commit[GIT_COMMIT_SIZE],
                struct error *err)
{
    const char *wanted = source->reference ? source->reference : "HEAD";
    CLEANUP(str_done) struct str listing = {};

    if (is_commit(wanted)) {
        snprintf(out_commit, GIT_COMMIT_SIZE, "%s", wanted);
    } else {
        const char *const words[] = { "ls-remote", "--", source->url, NULL };

        if (git(NULL, words, source->as_user, cancel_fd, &listing, err) < 0)
            return -1;
        if (!choose(&listing, wanted, out_commit))
            return error_set(err, ERROR_NOT_FOUND, "repository does not contain ref %s: %s", wanted,
                             source->url);
    }
    if (source->checksum && !text_starts(out_commit, source->checksum))
        return error_set(err, ERROR_INVALID, "expected checksum to match %s, got %s",
                         source->checksum, out_commit);
    return 0;
}

/* ---- checking out ---- */

static int fetch(const struct git_source *source, const char *commit, const char *path,
                 int cancel_fd, struct error *err)
{
    const char *reference = source->reference ? source->reference : "HEAD";
    const char *const attempts[][8] = {
        { "fetch", "--quiet", "--depth=1", "--no-tags", "--", source->url, commit },
        { "fetch", "--quiet", "--tags", "--", source->url, "+refs/heads/*:refs/remotes/o/*" },
        { "fetch", "--quiet", "--", source->url, reference },
    };
    const char *const probe[] = { "cat-file", "-e", commit, NULL };
    struct error why = {};

    /* Not every server hands out single commits. */
    for (size_t i = 0; i < COUNT(attempts); i++) {
        if (git(path, attempts[i], source->as_user, cancel_fd, NULL, &why) < 0) {
            if (why.kind == ERROR_CANCELLED)
                break;
            continue;
        }
        if (git(path, probe, source->as_user, cancel_fd, NULL, &why) == 0)
            return 0;
    }
    return error_set(err, why.kind, "%s", why.text);
}

struct normal {
    struct timespec times[2];
};

static int normalise(void *data, const struct tree_entry *entry, struct error *err)
{
    const struct normal *normal = data;
    bool is_link = S_ISLNK(entry->status.st_mode);
    mode_t mode = S_ISDIR(entry->status.st_mode) || entry->status.st_mode & 0100 ? 0755 : 0644;

    if ((!is_link && fchmodat(entry->dir_fd, entry->name, mode, 0) < 0) ||
        utimensat(entry->dir_fd, entry->name, normal->times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set mode and time of %s", entry->path);
    return 0;
}

static int normalise_file(void *data, const struct tree_entry *entry, struct error *err)
{
    return S_ISDIR(entry->status.st_mode) ? 0 : normalise(data, entry, err);
}

/* What the umask and the clock of this machine left in the files. */
static int normalise_all(const char *path, bool as_user, int cancel_fd, struct error *err)
{
    const char *const words[] = { "log", "-1", "--format=%ct", NULL };
    static const struct tree_visitor visitor = { normalise_file, normalise };
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(str_done) struct str text = {};
    struct normal normal = {};
    int64_t seconds = 0;

    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (git(path, words, as_user, cancel_fd, &text, err) < 0)
        return -1;
    CLEANUP(free) char *number = xstrndup(str_text(&text), strspn(str_text(&text), "0123456789"));
    parse_int64(number, 0, INT64_MAX, &seconds, NULL);
    normal.times[0].tv_sec = normal.times[1].tv_sec = (time_t)seconds;
    if (tree_walk(fd, &visitor, &normal, err) < 0)
        return -1;
    return fchmod(fd, 0755) < 0 || futimens(fd, normal.times) < 0 ? error_sys(err, "set times") : 0;
}

static int forget(void *data UNUSED, const struct tree_entry *entry, struct error *err)
{
    if (strcmp(entry->name, ".git") != 0)
        return 0;
    if (tree_remove_at(entry->dir_fd, entry->name, err) < 0)
        return -1;
    return S_ISDIR(entry->status.st_mode) ? 1 : 0;
}

static int remove_git_dirs(const char *path, struct error *err)
{
    static const struct tree_visitor visitor = { .enter = forget };
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? error_sys(err, "open %s", path) : tree_walk(fd, &visitor, NULL, err);
}

int git_checkout(const struct git_source *source, const char *commit, const char *directory_path,
                 int cancel_fd, struct error *err)
{
    const char *const begin[] = { "init", "--quiet", NULL };
    const char *const check_out[] = { "checkout", "--quiet", "--force", commit, "--", NULL };
    const char *const modules[] = { "submodule",   "update",    "--init",
                                    "--recursive", "--depth=1", NULL };
    CLEANUP(free) char *listed = path_join(directory_path, ".gitmodules");

    if (git(directory_path, begin, source->as_user, cancel_fd, NULL, err) < 0 ||
        fetch(source, commit, directory_path, cancel_fd, err) < 0 ||
        git(directory_path, check_out, source->as_user, cancel_fd, NULL, err) < 0)
        return -1;
    if (file_exists(listed) &&
        git(directory_path, modules, source->as_user, cancel_fd, NULL, err) < 0)
        return -1;
    if (normalise_all(directory_path, source->as_user, cancel_fd, err) < 0)
        return -1;
    if (!source->keeps_git_dir && remove_git_dirs(directory_path, err) < 0)
        return -1;
    return 0;
}
