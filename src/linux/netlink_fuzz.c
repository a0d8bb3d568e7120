/* What the kernel answers is read as bytes from outside. */
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "linux/netlink.h"
#include "linux/nftables.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t seen;

static int each_element(const struct nft_element *element, void *data UNUSED,
                        struct error *err UNUSED)
{
    for (size_t i = 0; i < element->key_size; i++)
        seen += ((const uint8_t *)element->key)[i];
    for (size_t i = 0; i < element->data_size; i++)
        seen += ((const uint8_t *)element->data)[i];
    return 0;
}

static void each_rule(const char *chain, void *data UNUSED)
{
    seen += strlen(chain);
}

static int each_message(const struct nlmsghdr *message, void *data, struct error *err)
{
    const struct nlattr *attributes[65];

    nl_attributes(message, 16, attributes, 64);
    for (size_t i = 0; i < COUNT(attributes); i++)
        seen += strlen(nl_get_string(attributes[i])) + nl_get_u32(attributes[i]);
    seen += nft_tells_of_loss(message, "berth");
    seen += nft_tells_of_lost_chain(message, "berth");
    nft_rule_read(message, "berth", each_rule, NULL);
    return nft_elements_read(message, each_element, data, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netlink_answer answer = { .count = UINT32_MAX };
    CLEANUP(free) uint8_t *copy = xmalloc(size + 1); /* aligned, and as long as it says */
    struct error err = {};

    memcpy(copy, data, size);
    netlink_answer_read(&answer, copy, size, each_message, NULL, &err);
    return 0;
}
