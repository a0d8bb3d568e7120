/* Names for containers that were given none: an adjective and a thing of the sea. */
#include <ctype.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/container_name.h"

#include "base/banned.h"

static const char *const adjectives[] = {
    "able",   "amber",  "ample", "bold",    "brave", "bright", "brisk",   "calm",   "clear",
    "clever", "cosy",   "crisp", "deep",    "eager", "early",  "easy",    "fair",   "fast",
    "fine",   "firm",   "fond",  "free",    "fresh", "gentle", "glad",    "golden", "good",
    "grand",  "great",  "green", "happy",   "hardy", "hearty", "honest",  "jolly",  "keen",
    "kind",   "late",   "light", "lively",  "lucky", "mellow", "merry",   "mild",   "modest",
    "neat",   "nimble", "noble", "patient", "plain", "polite", "prime",   "proud",  "quick",
    "quiet",  "rapid",  "ready", "rosy",    "salty", "sharp",  "silent",  "silver", "smart",
    "smooth", "snug",   "solid", "sound",   "spry",  "steady", "still",   "stout",  "strong",
    "sunny",  "sure",   "swift", "tidy",    "tough", "true",   "upright", "vivid",  "warm",
    "wide",   "wise",   "witty",
};

static const char *const things[] = {
    "anchor",    "atoll",    "barge",   "barque",  "bay",      "beacon",  "boom",      "bow",
    "breeze",    "brig",     "buoy",    "cable",   "canal",    "canoe",   "cape",      "capstan",
    "catamaran", "channel",  "clipper", "coast",   "compass",  "coral",   "cove",      "crane",
    "crest",     "current",  "cutter",  "deck",    "delta",    "dinghy",  "dock",      "dolphin",
    "dory",      "estuary",  "ferry",   "fjord",   "fleet",    "foam",    "freighter", "frigate",
    "galley",    "gangway",  "gull",    "gunwale", "harbour",  "hatch",   "hawser",    "headland",
    "heron",     "hold",     "hull",    "inlet",   "island",   "isthmus", "jetty",     "jib",
    "kayak",     "keel",     "ketch",   "knot",    "lagoon",   "lantern", "launch",    "lighthouse",
    "lock",      "lugger",   "marina",  "mast",    "moorings", "narwhal", "oar",       "ocean",
    "osprey",    "otter",    "pelican", "pennant", "petrel",   "pier",    "pilot",     "pinnace",
    "port",      "puffin",   "punt",    "quay",    "raft",     "reef",    "rigging",   "rudder",
    "sail",      "schooner", "seal",    "sextant", "shoal",    "shore",   "skiff",     "sloop",
    "spar",      "spray",    "stern",   "strait",  "surf",     "tanker",  "tern",      "tide",
    "tiller",    "trawler",  "tug",     "wave",    "wharf",    "yacht",
};

bool container_name_is_valid(const char *name)
{
    if (!isalnum((unsigned char)name[0]) || !name[1])
        return false;
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("_.-", *at))
            return false;
    return true;
}

char *container_name_generate(int attempt)
{
    unsigned random[3] = {};

    if (getrandom(random, sizeof(random), 0) < 0)
        random[0] = (unsigned)attempt;
    const char *adjective = adjectives[random[0] % COUNT(adjectives)],
               *thing = things[random[1] % COUNT(things)];
    if (attempt == 0)
        return xasprintf("%s_%s", adjective, thing);
    return xasprintf("%s_%s%u", adjective, thing, random[2] % 10);
}
