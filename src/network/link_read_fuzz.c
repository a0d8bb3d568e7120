/* Lists and news of links, routes and addresses, as the kernel might never send them. */
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "network/link_read.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t seen;

static bool is_ours(void *data UNUSED, const char *name)
{
    seen += strlen(name);
    return strcmp(name, "berth0") == 0;
}

struct readers {
    struct links links;
    struct inner_link inner;
    struct link_loss loss;
    struct subnets subnets;
};

static int each_message(const struct nlmsghdr *message, void *data, struct error *err)
{
    struct readers *readers = data;

    link_read(message, &readers->links, err);
    inner_link_read(message, &readers->inner, err);
    link_loss_read(message, &readers->loss, err);
    return subnet_read(message, &readers->subnets, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netlink_answer answer = { .count = UINT32_MAX };
    CLEANUP(free) uint8_t *copy = xmalloc(size + 1); /* aligned, and as long as it says */
    struct readers readers = { .loss.is_ours = is_ours };
    struct error err = {};

    memcpy(copy, data, size);
    netlink_answer_read(&answer, copy, size, each_message, &readers, &err);
    for (size_t i = 0; i < readers.links.count; i++)
        seen += strlen(readers.links.items[i].name) + strlen(readers.links.items[i].kind);
    seen += link_find(readers.links.items, readers.links.count, "berth0") != NULL;
    free(readers.links.items);
    free(readers.subnets.items);
    return 0;
}
