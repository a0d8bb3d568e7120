/* build --output: where a finished image goes. */
#ifndef BERTH_CLI_BUILD_OUTPUT_H
#define BERTH_CLI_BUILD_OUTPUT_H

#include "base/strv.h"
#include "cli/command.h"

struct build_output {
    enum { OUTPUT_IMAGE, OUTPUT_LOCAL, OUTPUT_TAR, OUTPUT_OCI, OUTPUT_DOCKER } type;
    char *destination; /* "-" is stdout; NULL: none */
    char *name;        /* one more name of the image; NULL: none */
    bool is_pushed;    /* the image goes to the registries that its names say */
    bool is_directory; /* of OCI and DOCKER: the destination is a directory, not an archive */
    bool is_merged;    /* of LOCAL and TAR, for several platforms: no directory for each */
};
void build_output_done(struct build_output *output);
CLEANUP_VALUE(build_output_done, struct build_output)

/* "type=local,dest=out", "out" (local), "-" (a tar on stdout), "type=image,name=x,push=true", which
 * is "type=registry,name=x", "type=oci,dest=out,tar=false". INVALID. */
int build_output_read(const char *text, struct build_output *out, struct error *err);

/* What was built. */
struct build_output_source {
    const char *image_id;
    const struct strv *images; /* ids of those for several platforms; empty: there is one image */
    const struct strv *tags;   /* names */
};
/* INVALID, UNSUPPORTED for what images for several platforms cannot become. */
int build_output_check_several(const struct build_output *output, struct error *err);

/* Brings it there. 'io_digest' (yours) becomes that of the index of images for several platforms
 * that was pushed, or else of the first one that was written. */
int build_output_write(struct cli *cli, const struct build_output *output,
                       const struct build_output_source *source, char **io_digest,
                       struct error *err);

#define BUILD_OUTPUTS_LIMIT 16
struct build_outputs {
    struct build_output items[BUILD_OUTPUTS_LIMIT];
    size_t count;
};
void build_outputs_done(struct build_outputs *outputs);
CLEANUP_VALUE(build_outputs_done, struct build_outputs)

int build_outputs_read(const struct strv *given, struct build_outputs *out, struct error *err);

#endif
