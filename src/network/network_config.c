/* Networks that others take their settings from: what both may say. */
#include <string.h>

#include "base/text.h"
#include "network/internal.h"

#include "base/banned.h"

static struct network *find_config(struct networks *networks, const char *name)
{
    CLEANUP(network_unref) struct network *found = NULL;

    if (network_find(networks, name, &found, NULL) < 0 || !found->is_config_only ||
        strcmp(found->name, name) != 0)
        return NULL;
    return TAKE(found);
}

static int check_dependent(const struct network_create *wish, struct error *err)
{
    if (wish->is_config_only)
        return error_set(err, ERROR_FORBIDDEN,
                         "a configuration network cannot depend on another configuration network");
    if ((wish->pools && wish->pools->count > 0) || wish->enable_ipv6 || wish->disable_ipv4 ||
        (wish->labels && wish->labels->count > 0))
        return error_set(err, ERROR_FORBIDDEN,
                         "user specified configurations are not supported if the network depends "
                         "on a configuration network");
    if (wish->options && wish->options->count > 0)
        return error_set(err, ERROR_FORBIDDEN,
                         "network driver options are not supported if the network depends on a "
                         "configuration network");
    return 0;
}

int config_apply(struct networks *networks, const struct network_create *wish,
                 struct network_create *out, struct network **out_config, struct error *err)
{
    struct network *config;

    *out = *wish;
    *out_config = NULL;
    if (text_is_empty(wish->config_from))
        return 0;
    if (check_dependent(wish, err) < 0)
        return -1;
    config = find_config(networks, wish->config_from);
    if (!config)
        return error_set(err, ERROR_NOT_FOUND, "configuration network \"%s\" does not exist",
                         wish->config_from);
    out->disable_ipv4 = !config->enable_ipv4;
    out->enable_ipv6 = config->enable_ipv6;
    out->pools = &config->pools;
    out->options = &config->options;
    out->labels = &config->labels;
    *out_config = config;
    return 0;
}

int config_check_unused(struct networks *networks, const struct network *network, struct error *err)
{
    struct network **list;
    size_t count;
    bool is_used = false;

    if (!network->is_config_only)
        return 0;
    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        is_used |= text_equal(list[i]->config_from, network->name);
    network_list_free(list, count);
    if (is_used)
        return error_set(err, ERROR_FORBIDDEN,
                         "error while removing network: configuration network \"%s\" is in use",
                         network->name);
    return 0;
}
