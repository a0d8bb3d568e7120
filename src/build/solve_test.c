/* Whole builds on a real store, with a worker that only pretends to run: "touch <path>" makes a
 * file, "say <text>" and "shout <text>" print, "exit <n>" fails, "true" does nothing. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/build.h"
#include "linux/path.h"

static char top[] = "/tmp/solve_test_XXXXXX";
static struct database *database;
static struct store *store;
static struct builder *builder;
static int context_fd = -1;
static int run_count;

/* ---- the worker ---- */

static int touch(const struct build_run *run, const char *path, struct error *err)
{
    CLEANUP(close) int mount_fd = -1, fd = -1;

    if (store_mount(store, run->chain_id, run->writable, &mount_fd, err) < 0)
        return -1;
    fd = path_make_file(mount_fd, path, 0644, err);
    return fd < 0 ? -1 : 0;
}

static int pretend(void *data UNUSED, const struct build_run *run,
                   void (*began)(void *output_data, const char *id),
                   void (*output)(void *output_data, bool is_stderr, const char *text, size_t size),
                   void *output_data, int cancel_fd UNUSED, int *out_exit_code, struct error *err)
{
    const char *command = run->arguments->items[run->arguments->count - 1];

    run_count++;
    began(output_data, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    *out_exit_code = 0;
    if (text_starts(command, "touch "))
        return touch(run, command + strlen("touch "), err);
    if (text_starts(command, "say "))
        output(output_data, false, command + 4, strlen(command + 4));
    if (text_starts(command, "shout "))
        output(output_data, true, command + 6, strlen(command + 6));
    if (strcmp(command, "env") == 0) {
        CLEANUP(free) char *joined = strv_join(run->environment, " ");

        output(output_data, false, joined, strlen(joined));
    }
    if (text_starts(command, "exit "))
        *out_exit_code = command[5] - '0';
    return 0;
}

/* ---- setting ---- */

static void put(const char *path, const char *text)
{
    int fd = openat(context_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void set_up(void)
{
    static const struct build_worker worker = { .run = pretend };
    struct error err = {};

    cr_assert(mkdtemp(top));
    CLEANUP(free) char *database_path = path_join(top, "berth.db");
    CLEANUP(free) char *context_path = path_join(top, "context");
    struct store_options options = { .data_path = top };

    cr_assert_eq(dir_make(context_path, 0755, &err), 0, "%s", err.text);
    context_fd = open(context_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(database_open(database_path, &database, &err), 0, "%s", err.text);
    cr_assert_eq(store_open(&options, database, &store, &err), 0, "%s", err.text);
    cr_assert_eq(builder_open(store, database, top, &worker, &builder, &err), 0, "%s", err.text);
    put("a.txt", "a");
    put("b.txt", "b");
}

static void tear_down(void)
{
    builder_close(builder);
    store_close(store);
    database_close(database);
    close(context_fd);
    tree_remove(top, NULL);
}

TestSuite(solve, .init = set_up, .fini = tear_down);

/* ---- running a build ---- */

struct result {
    struct str output; /* ids replaced by <i> */
    char image_id[72];
    bool began;
    int exit_code;
    struct error error;
    int aux_count;
};

static void result_done(struct result *result)
{
    str_done(&result->output);
}
CLEANUP_VALUE(result_done, struct result)

static void hear(void *data, const char *text, size_t size)
{
    struct result *result = data;
    CLEANUP(free) char *piece = xstrndup(text, size);
    regmatch_t match;
    regex_t ids;

    regcomp(&ids, "[0-9a-f]{12,64}", REG_EXTENDED);
    const char *at = piece;
    for (; regexec(&ids, at, 1, &match, 0) == 0; at += match.rm_eo) {
        str_add_bytes(&result->output, at, (size_t)match.rm_so);
        str_add(&result->output, "<i>");
    }
    str_add(&result->output, at);
    regfree(&ids);
}

static void count_ids(void *data, const char *image_id)
{
    struct result *result = data;

    cr_expect(text_starts(image_id, "sha256:"));
    result->aux_count++;
}

static int build(const char *dockerfile, struct build_options options, struct result *out)
{
    put("Dockerfile", dockerfile);
    options.context_fd = context_fd;
    options.remove_intermediate = true;
    options.cancel_fd = options.cancel_fd ? options.cancel_fd : -1;
    options.stream = hear;
    options.aux_id = count_ids;
    options.data = out;

    CLEANUP(build_result_done) struct build_result result = {};
    int built = builder_build(builder, &options, &result, &out->error);
    memcpy(out->image_id, result.image_id, sizeof(out->image_id));
    out->began = result.has_begun;
    out->exit_code = result.exit_code;
    return built;
}

static struct image *find(const char *id)
{
    struct image *image;
    struct error err = {};

    cr_assert_eq(store_image_find(store, id, &image, &err), 0, "%s", err.text);
    return image;
}

static char *history(const struct image *image)
{
    struct str out = {};

    for (size_t i = 0; i < image->config.history.count; i++) {
        const struct image_history *entry = &JSON_ITEMS(&image->config.history,
                                                        struct image_history)[i];

        str_add_format(&out, "%s%s\n", entry->created_by, entry->empty_layer ? " -" : "");
    }
    return str_take(&out);
}

static bool has_file(const struct image *image, const char *path)
{
    CLEANUP(close) int mount_fd = -1, fd = -1;

    cr_assert_eq(store_mount(store, image->chain_id, NULL, &mount_fd, NULL), 0);
    fd = path_open(mount_fd, path, O_PATH, 0, NULL);
    return fd >= 0;
}

/* ---- tests ---- */

Test(solve, says_what_the_classic_builder_says)
{
    CLEANUP(result_done) struct result first = {}, second = {};
    CLEANUP(strv_done) struct strv tags = {};
    struct build_options options = { .tags = &tags };
    const char *text = "ARG G=1\nFROM scratch AS base\nCOPY a.txt b.txt /d/\nENV A=$G\nRUN say hi\n"
                       "RUN shout ho\nRUN [\"touch /y\"]\nWORKDIR /d\nWORKDIR new\nCMD [\"x\"]\n";

    strv_add(&tags, "img:one");
    cr_assert_eq(build(text, options, &first), 0, "%s", first.error.text);
    cr_expect_str_eq(str_text(&first.output),
                     "Step 1/10 : ARG G=1\n"
                     "Step 2/10 : FROM scratch AS base\n ---> \n"
                     "Step 3/10 : COPY a.txt b.txt /d/\n ---> <i>\n"
                     "Step 4/10 : ENV A=$G\n ---> Running in <i>\n"
                     " ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Step 5/10 : RUN say hi\n ---> Running in <i>\n"
                     "hi ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Step 6/10 : RUN shout ho\n ---> Running in <i>\n"
                     "\x1b[91mho\x1b[0m ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Step 7/10 : RUN [\"touch /y\"]\n ---> Running in <i>\n"
                     " ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Step 8/10 : WORKDIR /d\n ---> Running in <i>\n"
                     " ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Step 9/10 : WORKDIR new\n ---> Running in <i>\n"
                     " ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Step 10/10 : CMD [\"x\"]\n ---> Running in <i>\n"
                     " ---> Removed intermediate container <i>\n ---> <i>\n"
                     "Successfully built <i>\nSuccessfully tagged img:one\n",
                     "%s", str_text(&first.output));
    cr_expect_eq(first.aux_count, 1);

    CLEANUP(image_unref) struct image *image = find("img:one");
    CLEANUP(free) char *entries = history(image);
    CLEANUP(free) char *copied = xstrndup(entries, strcspn(entries, "\n"));
    cr_expect(text_starts(copied, "/bin/sh -c #(nop) COPY multi:"), "%s", copied);
    cr_expect(text_ends(copied, " in /d/ "), "%s", copied);
    cr_expect_str_eq(entries + strlen(copied) + 1,
                     "/bin/sh -c #(nop)  ENV A= -\n/bin/sh -c say hi -\n/bin/sh -c shout ho -\n"
                     "touch /y\n/bin/sh -c #(nop) WORKDIR /d -\n/bin/sh -c #(nop) WORKDIR /d/new\n"
                     "/bin/sh -c #(nop)  CMD [\"x\"] -\n");
    cr_expect_eq(image->config.rootfs.diff_ids.count, 3);
    cr_expect_str_eq(image->id, first.image_id);
    cr_expect(has_file(image, "d/a.txt") && has_file(image, "y") && has_file(image, "d/new"));

    cr_assert_eq(build(text, options, &second), 0, "%s", second.error.text);
    cr_expect_str_eq(second.image_id, first.image_id);
    cr_expect_not(strstr(str_text(&second.output), "Running in"));
    cr_expect(
        strstr(str_text(&second.output), "COPY a.txt b.txt /d/\n ---> Using cache\n ---> <i>\n"));
    cr_expect_eq(run_count, 3);
}

Test(solve, misses_the_cache_when_something_counts)
{
    struct result results[6] = {};
    CLEANUP(map_done) struct map given = {};
    struct build_options options = {};
    const char *text = "FROM scratch\nARG V=1\nCOPY a.txt /a\nRUN env\nENV Q=1\n";

    cr_assert_eq(build(text, options, &results[0]), 0, "%s", results[0].error.text);
    cr_expect(strstr(str_text(&results[0].output), " V=1"));
    cr_expect_eq(run_count, 1);

    put("b.txt", "another file");
    utimensat(context_fd, "a.txt", (const struct timespec[]){ { 5, 5 }, { 5, 5 } }, 0);
    cr_assert_eq(build(text, options, &results[1]), 0);
    cr_expect_eq(run_count, 1);
    cr_expect_str_eq(results[1].image_id, results[0].image_id);

    map_set_text(&given, "V", "2");
    options.arguments = &given;
    cr_assert_eq(build(text, options, &results[2]), 0);
    cr_expect_eq(run_count, 2);
    cr_expect(strstr(str_text(&results[2].output), "COPY a.txt /a\n ---> Using cache\n"));

    put("a.txt", "changed");
    cr_assert_eq(build(text, options, &results[3]), 0);
    cr_expect_eq(run_count, 3);
    cr_expect(strstr(str_text(&results[3].output), "ARG V=1\n ---> Using cache\n"));
    cr_expect_not(strstr(str_text(&results[3].output), "COPY a.txt /a\n ---> Using cache\n"));

    options.no_cache = true;
    cr_assert_eq(build(text, options, &results[4]), 0);
    cr_expect_eq(run_count, 4);
    cr_expect_not(strstr(str_text(&results[4].output), "Using cache"));
    cr_expect_str_neq(results[4].image_id, results[3].image_id);
    options.no_cache = false;
    cr_assert_eq(build(text, options, &results[5]), 0);
    cr_expect_str_eq(results[5].image_id, results[4].image_id);
    for (size_t i = 0; i < COUNT(results); i++)
        result_done(&results[i]);
}

static int64_t record_size(void)
{
    CLEANUP(query_close) struct query *query = NULL;

    cr_assert_eq(database_query(database, &query, NULL,
                                "SELECT page_count * page_size"
                                " FROM pragma_page_count, pragma_page_size",
                                ""),
                 0);
    cr_assert_eq(query_next(query, NULL), 1);
    return query_int64(query, 0);
}

Test(solve, keeps_of_each_step_what_it_adds)
{
    CLEANUP(result_done) struct result first = {}, second = {}, shorter = {};
    CLEANUP(str_done) struct str text = {};
    struct build_options options = {};
    int64_t before = record_size();

    str_add(&text, "FROM scratch\nRUN touch /x\n");
    for (int i = 0; i < 300; i++)
        str_add_format(&text, "LABEL count=%d\n", i);
    cr_assert_eq(build(str_text(&text), options, &first), 0, "%s", first.error.text);
    cr_expect_lt(record_size() - before, 300 * 2048, "the history of all is not in each row");

    cr_assert_eq(build(str_text(&text), options, &second), 0, "%s", second.error.text);
    cr_expect_str_eq(second.image_id, first.image_id);
    *strstr(text.data, "LABEL count=150") = 0;
    cr_assert_eq(build(text.data, options, &shorter), 0, "%s", shorter.error.text);
    cr_expect_not(strstr(str_text(&shorter.output), "Running in"));
    cr_expect_eq(run_count, 1);
    CLEANUP(image_unref) struct image *image = find(shorter.image_id);
    cr_expect_eq(image->config.history.count, 151);
    cr_expect_eq(image->config.rootfs.diff_ids.count, 1);
    cr_expect_str_eq(map_get(&image->config.config.labels, "count"), "149");
}

Test(solve, builds_only_the_stages_needed)
{
    CLEANUP(result_done) struct result result = {}, other = {};
    struct build_options options = {};
    const char *text = "FROM scratch AS one\nCOPY a.txt /one\nFROM scratch AS unused\nRUN exit 7\n"
                       "FROM one AS two\nRUN touch /two\nFROM scratch\nCOPY --from=one /one /\n"
                       "COPY --from=2 /two /x/\n";

    cr_assert_eq(build(text, options, &result), 0, "%s", result.error.text);
    cr_expect_not(strstr(str_text(&result.output), "unused"));
    cr_expect(strstr(str_text(&result.output), "Step 7/7 : COPY --from=2 /two /x/\n"));
    cr_expect_eq(result.aux_count, 3);

    CLEANUP(image_unref) struct image *image = find(result.image_id);
    cr_expect(has_file(image, "one") && has_file(image, "x/two"));
    cr_expect_not(has_file(image, "two"));

    options.target = "one";
    cr_assert_eq(build(text, options, &other), 0, "%s", other.error.text);
    cr_expect(strstr(str_text(&other.output), "Step 2/2 : COPY a.txt /one\n ---> Using cache\n"));
}

Test(solve, runs_triggers_and_adds_labels)
{
    CLEANUP(result_done) struct result parent = {}, child = {}, bare = {};
    CLEANUP(strv_done) struct strv tags = {};
    CLEANUP(map_done) struct map labels = {};
    struct build_options options = { .tags = &tags };

    strv_add(&tags, "parent");
    cr_assert_eq(build("FROM scratch\nMAINTAINER me\nONBUILD RUN touch /ob\n"
                       "ONBUILD COPY a.txt /ob2\n",
                       options, &parent),
                 0, "%s", parent.error.text);
    cr_assert_eq(build("FROM parent\n", (struct build_options){ .quiet = true }, &bare), 0, "%s",
                 bare.error.text);
    cr_expect_str_eq(str_text(&bare.output), "sha256:<i>\n");

    map_set_text(&labels, "x", "y");
    options = (struct build_options){ .labels = &labels };
    cr_assert_eq(build("FROM parent\nLABEL a=1\n", options, &child), 0, "%s", child.error.text);
    cr_expect(text_starts(str_text(&child.output),
                          "Step 1/3 : FROM parent\n# Executing 2 build triggers\n"
                          " ---> Using cache\n ---> Using cache\n ---> <i>\n"
                          "Step 2/3 : LABEL a=1\n"),
              "%s", str_text(&child.output));
    cr_expect(strstr(str_text(&child.output), "Step 3/3 : LABEL x=y\n ---> Running in"));

    CLEANUP(image_unref) struct image *image = find(child.image_id);
    CLEANUP(image_unref) struct image *base = find("parent");
    cr_expect_eq(image->config.config.on_build.count, 0);
    cr_expect_eq(base->config.config.on_build.count, 2);
    cr_expect_str_eq(base->config.author, "me");
    cr_expect_str_eq(image->parent_id, base->id);
    cr_expect(has_file(image, "ob") && has_file(image, "ob2"));
    cr_expect_str_eq(map_get(&image->config.config.labels, "x"), "y");
}

static const struct {
    const char *text, *message;
    bool began;
    int exit_code;
} failures[] = {
    { "FROM scratch\nFOO\n",
      "dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)", false, 0 },
    { "FROM nosuchimage12\n", "No such image: nosuchimage12:latest", true, 0 },
    { "FROM scratch\nRUN say x; exit 7\nRUN exit 7\n",
      "The command '/bin/sh -c exit 7' returned a non-zero code: 7", true, 7 },
    { "FROM scratch\nCOPY nope /x\n",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file "
      "does not exist",
      true, 0 },
    { "FROM scratch\nCOPY A.txl /x\n",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat A.txl: file "
      "does not exist (did you mean a.txt?)",
      true, 0 },
    { "FROM scratch\nCOPY sub/deep/b.txt /x\n",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat "
      "sub/deep/b.txt: file does not exist (did you mean b.txt?)",
      true, 0 },
    { "FROM scratch\nCOPY /home/me/thing /x\n",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat "
      "home/me/thing: file does not exist (paths begin in the build context, not in the machine's "
      "root)",
      true, 0 },
    { "FROM scratch\nCOPY -from=x a.txt /x/\n",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat -from=x: "
      "file does not exist (flags begin with two dashes: --from=x)",
      true, 0 },
    { "FROM scratch AS one\nCOPY a.txt /etc/\nFROM scratch\nCOPY --from=one /etc/a.text /\n",
      "COPY failed: stat etc/a.text: file does not exist (did you mean /etc/a.txt?)", true, 0 },
    { "FROM -platform=linux/amd64 scratch\n",
      "dockerfile parse error on line 1: FROM requires either one or three arguments (flags begin "
      "with two dashes)",
      false, 0 },
    { "FROM scratch\nCOPY nope* /x/\n",
      "COPY failed: no source files were specified (nothing matches nope*)", true, 0 },
    { "FROM scratch\nCOPY a.txt b.txt /x\n",
      "When using COPY with more than one source file, the destination must be a directory and end "
      "with a /",
      true, 0 },
    { "FROM scratch\nCOPY ../../a /x\n",
      "COPY failed: forbidden path outside the build context: ../../a ()", true, 0 },
    { "FROM scratch\nCOPY --chown=nobody a.txt /n\n",
      "unable to convert uid/gid chown string to host mapping: can't find uid for user nobody: no "
      "such user: nobody",
      true, 0 },
    { "FROM scratch\nENV A=1\nRUN --device=nvidia.com/gpu=all true\n",
      "the --device option is not supported by this builder yet (line 3)", true, 0 },
    { "FROM scratch\nRUN --mount=type=secret,id=s,required=true true\n",
      "RUN --mount=type=secret: secret s: not found: give it to the build (--secret "
      "id=s,src=FILE), "
      "or leave required out",
      true, 0 },
    { "FROM scratch\nRUN --security=insecure true\n",
      "security.insecure is not allowed: build with --allow security.insecure (line 2)", true, 0 },
    { "FROM scratch\nCOPY http://x/y /z\n", "COPY failed: source can't be a URL for COPY", true,
      0 },
    { "FROM scratch\nADD --checksum=sha256:1 http://x/y /z\n",
      "ADD failed: invalid checksum digest \"sha256:1\": sha256:<64 hex digits> is understood",
      true, 0 },
    { "FROM scratch\nADD --keep-git-dir a.txt /z\n", "keep-git-dir is for Git sources only", true,
      0 },
    { "FROM scratch\n", "No image was generated. Is your Dockerfile empty?", true, 0 },
};

Test(solve, tells_what_failed)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        CLEANUP(result_done) struct result result = {};

        cr_expect_eq(build(failures[i].text, (struct build_options){}, &result), -1, "%s",
                     failures[i].text);
        cr_expect_str_eq(result.error.text, failures[i].message);
        cr_expect_eq(result.began, failures[i].began, "%s", failures[i].text);
        cr_expect_eq(result.exit_code, failures[i].exit_code);
    }
}

Test(solve, stops_when_cancelled)
{
    CLEANUP(result_done) struct result result = {};
    CLEANUP(close) int cancel_fd = eventfd(1, EFD_CLOEXEC);

    cr_expect_eq(build("FROM scratch\nRUN say x\n",
                       (struct build_options){ .cancel_fd = cancel_fd }, &result),
                 -1);
    cr_expect_eq(result.error.kind, ERROR_CANCELLED);
    cr_expect_eq(run_count, 0);
}

Test(solve, keeps_and_prunes_the_cache)
{
    CLEANUP(result_done) struct result result = {}, again = {};
    CLEANUP(strv_done) struct strv ids = {}, all_ids = {};
    struct error err = {};
    int64_t bytes;

    cr_assert_eq(
        build("FROM scratch\nCOPY a.txt /a\nLABEL a=b\n", (struct build_options){}, &result), 0,
        "%s", result.error.text);
    CLEANUP(image_unref) struct image *image = find(result.image_id);
    cr_expect(builder_uses_layer(builder, image->chain_id));

    cr_assert_eq(builder_prune(builder, false, &ids, &bytes, &err), 0, "%s", err.text);
    cr_expect_eq(ids.count, 0);
    cr_assert_eq(store_image_remove(store, image->id, NULL, NULL, NULL, &err), 0, "%s", err.text);
    cr_assert_eq(builder_prune(builder, true, &all_ids, &bytes, &err), 0, "%s", err.text);
    cr_expect_eq(all_ids.count, 2);
    cr_expect_eq(bytes, 1);
    cr_expect_not(builder_uses_layer(builder, image->chain_id));
    cr_assert_eq(build("FROM scratch\nCOPY a.txt /a\n", (struct build_options){}, &again), 0, "%s",
                 again.error.text);
    cr_expect_not(strstr(str_text(&again.output), "Using cache"));
}
