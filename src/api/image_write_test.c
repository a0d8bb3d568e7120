/* The shapes are those recorded from Docker Engine 28.5.2. */
#include "api/image_write.h"

#include <criterion/criterion.h>
#include <string.h>

#include "api/version.h"

#include "base/banned.h"

static struct image image = { .id = "sha256:1",
                              .created_ns = INT64_C(1700000000000000000),
                              .size_bytes = 30 };
static struct strv none;

static void set_up(void)
{
    strv_init_empty(&none);
}

TestSuite(image_write, .init = set_up);

static const struct {
    struct image_view view;
    const char *json;
} items[] = {
    { { .version = API_VERSION(51), .tags = &none, .container_count = 2, .shared_size = -1 },
      "{\"Containers\":2,\"Created\":1700000000,\"Id\":\"sha256:1\",\"Labels\":null,\"ParentId\":"
      "\"\",\"RepoDigests\":[],\"RepoTags\":[],\"SharedSize\":-1,\"Size\":30}" },
    { { .version = API_VERSION(42), .tags = &none, .container_count = -1, .shared_size = -1 },
      "{\"Containers\":-1,\"Created\":1700000000,\"Id\":\"sha256:1\",\"Labels\":null,\"ParentId\":"
      "\"\",\"RepoDigests\":[\"\\u003cnone\\u003e@\\u003cnone\\u003e\"],\"RepoTags\":["
      "\"\\u003cnone\\u003e:\\u003cnone\\u003e\"],\"SharedSize\":-1,\"Size\":30,\"VirtualSize\":"
      "30}" },
    { { .version = API_VERSION(51), .tags = &none, .empty_names_are_null = true },
      "{\"Containers\":0,\"Created\":1700000000,\"Id\":\"sha256:1\",\"Labels\":null,\"ParentId\":"
      "\"\",\"RepoDigests\":null,\"RepoTags\":null,\"SharedSize\":0,\"Size\":30}" },
};

Test(image_write, items_are_dockers)
{
    for (size_t i = 0; i < COUNT(items); i++) {
        CLEANUP(str_done) struct str text = {};

        image_write_item(&(struct json_writer){ .out = &text }, &image, &items[i].view);
        cr_expect_str_eq(str_text(&text), items[i].json);
    }
}

static void expect_keys(int version, const char *member, const char *wanted)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(free) char *joined = NULL;
    struct image_view view = { .version = version, .driver = "overlay2", .data_path = "/d" };

    image_write_full(&(struct json_writer){ .out = &text }, &image, &view);
    cr_assert_eq(json_parse(str_text(&text), text.length, &value, NULL), 0);
    JSON_EACH (*member ? json_get(value, member) : value, key)
        strv_add(&names, key);
    joined = strv_join(&names, ",");
    cr_expect_str_eq(joined, wanted);
}

Test(image_write, full_shape_is_dockers)
{
    expect_keys(API_VERSION(51), "",
                "Id,RepoTags,RepoDigests,Parent,Comment,Created,DockerVersion,Author,Architecture,"
                "Os,Size,GraphDriver,RootFS,Metadata,Config");
    expect_keys(API_VERSION(51), "Config",
                "Cmd,Entrypoint,Env,Labels,OnBuild,User,Volumes,WorkingDir");
    expect_keys(API_VERSION(43), "",
                "Id,RepoTags,RepoDigests,Parent,Comment,Created,ContainerConfig,"
                "DockerVersion,Author,Architecture,Os,Size,VirtualSize,GraphDriver,RootFS,Metadata,"
                "Config");
    expect_keys(API_VERSION(43), "Config",
                "AttachStderr,AttachStdin,AttachStdout,Cmd,Domainname,Entrypoint,Env,Hostname,"
                "Image,Labels,OnBuild,OpenStdin,StdinOnce,Tty,User,Volumes,WorkingDir");
}
