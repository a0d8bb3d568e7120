/* The likeliest reason comes first: what the Dockerfile itself tells, what .dockerignore tells, and
 * then names that are near. */
#include "build/missing.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "build/source.h"
#include "linux/path.h"

#include "base/banned.h"

#define NEAR_DISTANCE 2     /* characters; fewer in short names */
#define NEAR_LENGTH   4     /* characters of a name for each that may differ */
#define COUNT_LIMIT   10000 /* names that are looked at */
#define COMPARED_SIZE 64    /* text_distance looks no further */

struct near {
    const char *wanted;
    char *best;
    size_t score, count;
};

/* Few other letters are nearer than the same name in another directory. */
static void consider(struct near *near, const char *path)
{
    size_t distance = strlen(path) < COMPARED_SIZE ? text_distance(near->wanted, path) : SIZE_MAX;
    size_t score = SIZE_MAX;

    if (distance <= MIN(strlen(near->wanted) / NEAR_LENGTH, NEAR_DISTANCE))
        score = distance;
    else if (strcasecmp(path_base(near->wanted), path_base(path)) == 0)
        score = NEAR_DISTANCE + 1;
    near->count++;
    if (score >= near->score)
        return;
    free(near->best);
    near->best = xstrdup(path);
    near->score = score;
}

static void search_directory(struct near *near, int root_fd, const char *path,
                             struct strv *directories)
{
    CLEANUP(strv_done) struct strv names = {};
    struct error ignored;
    CLEANUP(close)
    int fd = path_open(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, &ignored);
    struct stat info;

    if (fd < 0 || directory_names(fd, &names, &ignored) < 0)
        return;
    for (size_t i = 0; i < names.count && near->count < COUNT_LIMIT; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);

        consider(near, below);
        if (fstatat(fd, names.items[i], &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
            strv_add(directories, below);
    }
}

/* Level by level: what is near the top is likelier meant than what is deep in it. */
static void search_tree(struct near *near, int root_fd)
{
    CLEANUP(strv_done) struct strv directories = {};

    strv_add(&directories, "");
    for (size_t i = 0; i < directories.count && near->count < COUNT_LIMIT; i++)
        search_directory(near, root_fd, directories.items[i], &directories);
}

static char *find_near(const struct missing_place *place, const char *path)
{
    struct near near = { .wanted = path, .score = SIZE_MAX };

    for (size_t i = 0; place->manifest && i < place->manifest->count && near.count < COUNT_LIMIT;
         i++)
        consider(&near, place->manifest->entries[i].path);
    if (!place->manifest)
        search_tree(&near, place->root_fd);
    return near.best;
}

/* A place of the machine, where somebody does not know that the context is meant. */
static bool is_of_the_machine(const char *argument)
{
    return argument[0] == '/' && strchr(argument + 1, '/');
}

char *missing_explain(const struct missing_place *place, const char *argument)
{
    CLEANUP(free) char *rooted = xasprintf("/%s", argument);
    CLEANUP(free) char *cleaned = path_clean(rooted);
    const char *path = cleaned + 1;
    const char *cause = place->ignored ? dockerignore_cause(place->ignored, path) : NULL;
    CLEANUP(free) char *near = NULL;

    if (argument[0] == '-' && isalpha((unsigned char)argument[1]))
        return xasprintf(" (flags begin with two dashes: -%s)", argument);
    if (cause)
        return xasprintf(" (.dockerignore leaves it out: %s)", cause);
    near = find_near(place, path);
    if (near)
        return xasprintf(" (did you mean %s%s?)", place->is_context ? "" : "/", near);
    if (place->is_context && is_of_the_machine(argument))
        return xstrdup(" (paths begin in the build context, not in the machine's root)");
    return xstrdup("");
}
