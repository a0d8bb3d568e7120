/* Pure: texts out of texts. */
#include "registry/attest.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "spec/descriptor.h"
#include "spec/image.h"
#include "spec/reference.h"

#include "base/banned.h"

#define STATEMENT_TYPE      "https://in-toto.io/Statement/v0.1"
#define PREDICATE_TYPE_NAME "in-toto.io/predicate-type"

void attest_documents_done(struct attest_documents *documents)
{
    for (size_t i = 0; i < documents->blob_count; i++)
        str_done(&documents->blobs[i].text);
    free(documents->blobs);
    str_done(&documents->manifest.text);
    str_done(&documents->index.text);
    *documents = (struct attest_documents){};
}

static void finish(struct attest_document *document, const char *media_type)
{
    document->media_type = media_type;
    sha256_digest(str_text(&document->text), document->text.length, document->digest);
}

const char *attest_file_name(const struct attestation *attestation)
{
    return text_starts(attestation->predicate_type, "https://slsa.dev/provenance/")
               ? "provenance.json"
           : strcmp(attestation->predicate_type, "https://spdx.dev/Document") == 0
               ? "sbom.spdx.json"
               : "attestation.json";
}

/* ---- the statement ---- */

/* "pkg:docker/team/app@1?platform=linux%2Famd64" */
static char *package_url(const struct image_config *config, const char *name)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(name, &reference, NULL) < 0)
        return xstrdup("_");
    CLEANUP(free) char *familiar = reference_familiar_name(&reference);
    return xasprintf("pkg:docker/%s@%s?platform=%s%%2F%s", familiar,
                     reference.digest ?: reference.tag, config->os ?: "linux",
                     config->architecture ?: "");
}

static void add_subject(struct json_writer *w, const char *name, const char *digest)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "name", name);
    json_begin_dict(w, "digest");
    json_add_text(w, "sha256", digest_hex(digest));
    json_end_dict(w);
    json_end_dict(w);
}

void attest_statement(const struct attest_subject *subject, const struct attestation *attestation,
                      struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "_type", STATEMENT_TYPE);
    json_add_text(&w, "predicateType", attestation->predicate_type);
    json_begin_list(&w, "subject");
    for (size_t i = 0; i < subject->names->count; i++) {
        CLEANUP(free)
        char *name = package_url(&subject->image->config, subject->names->items[i]);

        add_subject(&w, name, subject->digest);
    }
    if (subject->names->count == 0)
        add_subject(&w, "_", subject->digest);
    json_end_list(&w);
    json_add_raw(&w, "predicate", attestation->predicate);
    json_end_dict(&w);
}

/* ---- around it ---- */

static void make_config(struct attest_documents *documents, size_t statement_count)
{
    struct attest_document *config = &documents->blobs[statement_count];
    struct json_writer w = { .out = &config->text };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "architecture", "unknown");
    json_add_text(&w, "os", "unknown");
    json_begin_dict(&w, "config");
    json_end_dict(&w);
    json_begin_dict(&w, "rootfs");
    json_add_text(&w, "type", "layers");
    json_begin_list(&w, "diff_ids");
    for (size_t i = 0; i < statement_count; i++)
        json_add_text(&w, NULL, documents->blobs[i].digest);
    json_end_list(&w);
    json_end_dict(&w);
    json_end_dict(&w);
    finish(config, MEDIA_TYPE_OCI_CONFIG);
}

static void make_manifest(struct attest_documents *documents,
                          const struct attestations *attestations)
{
    const struct attest_document *config = &documents->blobs[attestations->count];
    struct json_writer w = { .out = &documents->manifest.text };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_OCI_MANIFEST);
    descriptor_add(&w, "config", config->media_type, config->digest, (int64_t)config->text.length);
    json_begin_list(&w, "layers");
    for (size_t i = 0; i < attestations->count; i++) {
        const struct attest_document *statement = &documents->blobs[i];

        descriptor_begin(&w, NULL, statement->media_type, statement->digest,
                         (int64_t)statement->text.length);
        json_begin_dict(&w, "annotations");
        json_add_text(&w, PREDICATE_TYPE_NAME, attestations->items[i].predicate_type);
        json_end_dict(&w);
        json_end_dict(&w);
    }
    json_end_list(&w);
    json_end_dict(&w);
    finish(&documents->manifest, MEDIA_TYPE_OCI_MANIFEST);
}

void attest_add_descriptors(struct json_writer *w, const struct attest_subject *subject,
                            const char *manifest_digest, int64_t manifest_size)
{
    const struct image_config *config = &subject->image->config;

    descriptor_begin(w, NULL, subject->media_type, subject->digest, subject->size);
    descriptor_add_platform(w, config->architecture ?: "", config->os ?: "", config->variant);
    json_end_dict(w);
    if (!manifest_digest)
        return;
    descriptor_begin(w, NULL, MEDIA_TYPE_OCI_MANIFEST, manifest_digest, manifest_size);
    json_begin_dict(w, "annotations");
    json_add_text(w, "vnd.docker.reference.digest", subject->digest);
    json_add_text(w, "vnd.docker.reference.type", "attestation-manifest");
    json_end_dict(w);
    descriptor_add_platform(w, "unknown", "unknown", NULL);
    json_end_dict(w);
}

void attest_index_begin(struct json_writer *w)
{
    json_begin_dict(w, NULL);
    json_add_int64(w, "schemaVersion", 2);
    json_add_text(w, "mediaType", MEDIA_TYPE_OCI_INDEX);
    json_begin_list(w, "manifests");
}

void attest_index_end(struct json_writer *w)
{
    json_end_list(w);
    json_end_dict(w);
}

static void make_index(struct attest_documents *documents, const struct attest_subject *subject)
{
    struct json_writer w = { .out = &documents->index.text };

    attest_index_begin(&w);
    attest_add_descriptors(&w, subject, documents->manifest.digest,
                           (int64_t)documents->manifest.text.length);
    attest_index_end(&w);
    finish(&documents->index, MEDIA_TYPE_OCI_INDEX);
}

void attest_documents_make(const struct attest_subject *subject,
                           const struct attestations *attestations, struct attest_documents *out)
{
    *out = (struct attest_documents){
        .blobs = xcalloc(attestations->count + 1, sizeof(*out->blobs)),
        .blob_count = attestations->count + 1,
    };
    for (size_t i = 0; i < attestations->count; i++) {
        attest_statement(subject, &attestations->items[i], &out->blobs[i].text);
        finish(&out->blobs[i], MEDIA_TYPE_IN_TOTO);
    }
    make_config(out, attestations->count);
    make_manifest(out, attestations);
    make_index(out, subject);
}
