/* test_golden_decode.c: every picture of fixtures/decode against Pillow's and TensorFlow's pixels; damage is refused.
 */
#include <limits.h>
#include <stdlib.h>

#include "data/data.h"
#include "data_golden.h"

/* After tenon's headers: it has a macro named fail(). */
#include <check.h>

enum { SECONDS_LIMIT = 2, GROWTH_LIMIT = 64 << 20 };

struct suite {
    struct tally tally;
    struct tn_decoder *decoder;
};

static tn_status decode(struct suite *suite, const void *bytes, uint64_t count, int32_t channels, int32_t fast,
                        struct tn_image *image, struct tn_error *error)
{
    const struct tn_decode_request request = {
        .size = sizeof request, .channels = channels, .fast = fast, .maximum_pixels = 178956970};
    return tn_decoder_decode(suite->decoder, bytes, count, &request, image, error);
}

static bool same_shape(const struct bundle_tensor *tensor, const struct tn_image *image)
{
    int32_t channels = tensor->rank == 3 ? tensor->dims[2] : 1;
    return tensor->dims[0] == image->height && tensor->dims[1] == image->width && channels == image->channels;
}

/* NULL when the picture has the tensor's pixels, else what is wrong. */
static const char *compare(const struct bundle_tensor *tensor, const struct tn_image *image, double tolerance)
{
    static char text[128];
    if (!same_shape(tensor, image)) {
        (void)snprintf(text, sizeof text, "size %d x %d x %d", (int)image->height, (int)image->width,
                       (int)image->channels);
        return text;
    }
    double difference = golden_difference(tensor, NULL, image->pixels);
    if (difference <= tolerance)
        return NULL;
    (void)snprintf(text, sizeof text, "pixels differ from %s by %g", tensor->role, difference);
    return text;
}

/* Four channels: the same colours, and full alpha where the file has none. */
static const char *compare_rgba(const struct bundle_tensor *rgb, const struct tn_image *image)
{
    const unsigned char *pixels = image->pixels;
    if (image->height != rgb->dims[0] || image->width != rgb->dims[1] || image->channels != 4)
        return "wrong size with 4 channels";
    for (uint64_t i = 0; i < rgb->count; i++)
        if (fabs(bundle_at(rgb, i) - pixels[i / 3 * 4 + i % 3]) > 0)
            return "other colours with 4 channels";
    return NULL;
}

static const char *check_whole(struct suite *suite, const struct bundle_case *item, const void *bytes, uint64_t count)
{
    const struct bundle_tensor *rgb = bundle_tensor(item, "tf_rgb"), *grey = bundle_tensor(item, "pil_gray");
    const struct bundle_tensor *luma = bundle_tensor(item, "tf_gray");
    struct tn_image image;
    static struct tn_error error;
    const char *wrong = NULL;
    if (!rgb)
        rgb = bundle_tensor(item, "pil_rgb");
    if (decode(suite, bytes, count, 3, 0, &image, &error) != TN_OK)
        return error.text;
    wrong = compare(rgb, &image, 0);
    if (!wrong)
        wrong = decode(suite, bytes, count, 4, 0, &image, &error) == TN_OK ? compare_rgba(rgb, &image) : error.text;
    if (!wrong && grey)
        wrong = decode(suite, bytes, count, 1, 0, &image, &error) == TN_OK ? compare(grey, &image, 0) : error.text;
    if (!wrong && luma)
        wrong = decode(suite, bytes, count, 1, 1, &image, &error) == TN_OK ? compare(luma, &image, 0) : error.text;
    return wrong;
}

static bool is_ok(const struct bundle_case *item, const char *key)
{
    const char *status = bundle_set(item, key);
    return status && strcmp(status, "ok") == 0;
}

/* Bits damaged inside of a scan: some libraries notice, some do not. Refusing it is right, and so are the pixels. */
static bool may_be_refused(const struct bundle_case *item)
{
    return bundle_tensor(item, "tf_recover_rgb") != NULL || bundle_tensor(item, "pil_truncated_rgb") != NULL;
}

static const char *check_case(struct suite *suite, const struct bundle_case *item, const void *bytes, uint64_t count)
{
    struct tn_image image;
    struct tn_error error = {0};
    bool whole = is_ok(item, "tf_status") || is_ok(item, "pil_status");
    tn_status status = decode(suite, bytes, count, 3, 0, &image, &error);
    if (whole && (status == TN_OK || !may_be_refused(item)))
        return check_whole(suite, item, bytes, count);
    if (status == TN_OK)
        return "damage was not noticed";
    return error.text[0] ? NULL : "an error without a text";
}

static void run_case(struct suite *suite, const char *folder, const struct bundle_case *item)
{
    char path[PATH_MAX];
    void *bytes = NULL;
    uint64_t count = 0;
    const char *file = bundle_set(item, "file");
    struct tn_error error = {0};
    (void)snprintf(path, sizeof path, "%s/decode/%s", folder, file ? file : "");
    if (!file || tn_file_read(path, 1u << 28, &bytes, &count, &error) != TN_OK) {
        tally_fail(&suite->tally, item->name, "%s", file ? error.text : "no file is named");
        return;
    }
    uint64_t memory = tn_memory_resident();
    double start = tn_seconds_now();
    const char *wrong = check_case(suite, item, bytes, count);
    if (!wrong && tn_seconds_now() - start > SECONDS_LIMIT)
        wrong = "it took too long";
    if (!wrong && tn_memory_resident() > memory + GROWTH_LIMIT)
        wrong = "it took too much memory";
    if (wrong)
        tally_fail(&suite->tally, item->name, "%s", wrong);
    else
        suite->tally.passed++;
    free(bytes);
}

START_TEST(pictures_decode_as_the_peers_do)
{
    char path[PATH_MAX], folder[PATH_MAX];
    struct suite suite = {.tally = {.group = "decode"}};
    struct tn_registry *registry = NULL;
    struct bundle *bundle = NULL;
    struct tn_error error = {0};
    if (!golden_file("decode/manifest.txt", path, sizeof path) || !fixtures_folder(folder, sizeof folder))
        return;
    ck_assert_msg(bundle_open(path, &bundle, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_registry_open(NULL, &registry, &error) == TN_OK, "%s", error.text);
    ck_assert_msg(tn_decoder_open(registry, &suite.decoder, &error) == TN_OK, "%s", error.text);
    for (size_t i = 0; i < bundle_case_count(bundle); i++)
        run_case(&suite, folder, bundle_case_at(bundle, i));
    tally_print(&suite.tally);
    tn_decoder_close(&suite.decoder);
    tn_registry_close(&registry);
    bundle_close(&bundle);
    ck_assert_int_eq(suite.tally.failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden decode");
    TCase *decoding = tcase_create("decode");
    tcase_set_timeout(decoding, 120);
    tcase_add_test(decoding, pictures_decode_as_the_peers_do);
    suite_add_tcase(suite, decoding);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
