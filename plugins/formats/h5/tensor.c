/* tensor.c: one piece of data of a file: found over plain links only, stored in the file itself, of the shape that the
 * network has.
 */
#include "read.h"

static void shape_text(const struct tn_shape *shape, char *text, size_t bytes)
{
    size_t used = 0;
    (void)snprintf(text, bytes, "a single number");
    for (int32_t i = 0; i < shape->rank && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%d", i ? "x" : "", shape->dims[i]);
}

/* Opens `path` below `parent`, part by part, over plain links only. -1: there is none (no error is recorded). */
hid_t h5_open_path(hid_t parent, const char *path)
{
    hid_t at = H5Oopen(parent, ".", H5P_DEFAULT);
    while (at >= 0 && *path) {
        char part[1024 * 4];
        size_t length = strcspn(path, "/");
        hid_t next = -1;
        H5L_info_t link;
        if (length >= sizeof part)
            break;
        memcpy(part, path, length);
        part[length] = '\0';
        path += length;
        path += strspn(path, "/");
        if (length == 0)
            continue;
        if (H5Lget_info(at, part, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD)
            next = H5Oopen(at, part, H5P_DEFAULT);
        (void)H5Oclose(at);
        at = next;
    }
    if (at >= 0 && *path) {
        (void)H5Oclose(at);
        at = -1;
    }
    return at;
}

bool h5_has_path(hid_t parent, const char *path)
{
    hid_t object = h5_open_path(parent, path);
    if (object >= 0)
        (void)H5Oclose(object);
    return object >= 0;
}

/* The data has to lie in this file, as it is or in chunks. */
static bool stored_here(hid_t dataset)
{
    hid_t plist = H5Dget_create_plist(dataset);
    H5D_layout_t layout = plist < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(plist);
    bool here = (layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED) &&
                H5Pget_external_count(plist) == 0;
    if (plist >= 0)
        (void)H5Pclose(plist);
    return here;
}

static tn_status dataset_shape(hid_t dataset, const char *what, struct tn_shape *shape, struct tn_error *error)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0)
        (void)H5Sclose(space);
    if (rank < 0)
        return tn_fail(error, TN_CORRUPT, "%s cannot be read", what);
    if (rank > TN_MAX_RANK)
        return tn_fail(error, TN_INVALID, "%s has %d axes in the file", what, rank);
    shape->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT32_MAX)
            return tn_fail(error, TN_INVALID, "%s: axis %d is longer than tenon can hold", what, i);
        shape->dims[i] = (int32_t)dims[i];
    }
    return TN_OK;
}

static bool same_shape(const struct tn_shape *a, const struct tn_shape *b)
{
    bool same = a->rank == b->rank;
    for (int32_t i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

/* Reads `path` below `parent` into `target`; its shape has to be `shape`. `what`: for messages. */
tn_status h5_read_tensor(const struct h5_reader *reader, hid_t parent, const char *path, const char *what,
                         const struct tn_shape *shape, float *target)
{
    struct tn_error *error = reader->error;
    struct tn_shape stored = {0, {0}};
    char here[64], there[64];
    hid_t dataset = h5_open_path(parent, path), type = -1;
    tn_status status = TN_OK;
    if (dataset < 0 || H5Iget_type(dataset) != H5I_DATASET) {
        status = tn_fail(error, TN_CORRUPT, "%s: the file has no data %s", what, path);
        goto out;
    }
    if (!stored_here(dataset)) {
        status = tn_fail(error, TN_CORRUPT, "%s: its data lies outside of the file, which is refused", what);
        goto out;
    }
    status = dataset_shape(dataset, what, &stored, error);
    if (status != TN_OK)
        goto out;
    if (!same_shape(&stored, shape)) {
        shape_text(&stored, there, sizeof there);
        shape_text(shape, here, sizeof here);
        status = tn_fail(error, TN_INVALID, "%s is %s in the file and %s in the network", what, there, here);
        goto out;
    }
    type = H5Dget_type(dataset);
    if (type < 0 || H5Tget_class(type) != H5T_FLOAT)
        status = tn_fail(error, TN_CORRUPT, "%s: the file holds no floating-point numbers there", what);
    else if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, target) < 0)
        status = tn_fail(error, TN_CORRUPT, "%s: the data cannot be read, the file is damaged", what);
out:
    if (type >= 0)
        (void)H5Tclose(type);
    if (dataset >= 0)
        (void)H5Oclose(dataset);
    return status;
}

/* One number of any numeric type; false when it is not there. */
bool h5_read_number(hid_t parent, const char *path, double *value)
{
    hid_t dataset = h5_open_path(parent, path), space = -1, type = -1;
    bool good = dataset >= 0 && H5Iget_type(dataset) == H5I_DATASET && stored_here(dataset);
    if (good) {
        space = H5Dget_space(dataset);
        type = H5Dget_type(dataset);
        good = space >= 0 && type >= 0 && H5Sget_simple_extent_npoints(space) == 1 &&
               (H5Tget_class(type) == H5T_FLOAT || H5Tget_class(type) == H5T_INTEGER) &&
               H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
    }
    if (type >= 0)
        (void)H5Tclose(type);
    if (space >= 0)
        (void)H5Sclose(space);
    if (dataset >= 0)
        (void)H5Oclose(dataset);
    return good;
}
