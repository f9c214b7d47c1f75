/* write.c: weights -> the bytes of an .h5 file. The file is built in memory (HDF5's core driver); the core writes it to
 * disk in one go. The same weights give the same bytes.
 */
#include <stdlib.h>

#include "write.h"

/* Keras cuts longer attributes into name0, name1, …; a reference to a text takes 16 bytes. */
enum { NAMES_IN_ONE = 4000 };

/* The file as it grows: HDF5 is given this memory instead of its own, so that a large file exists once. */
struct growing {
    const struct tn_host *host;
    struct h5_room room; /* in front of the file and behind it */
    char *data;          /* of all, the file begins behind room.front */
    size_t capacity;     /* of the file */
};

tn_status h5_broken(const struct h5_writer *writer, const char *what)
{
    return tn_fail(writer->error, TN_FAILED, "the HDF5 library cannot write %s", what);
}

static hid_t text_type(H5T_cset_t set)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, set) < 0)) {
        (void)H5Tclose(type);
        type = -1;
    }
    return type;
}

static void *grow(void *old, size_t size, H5FD_file_image_op_t operation, void *context)
{
    struct growing *growing = context;
    const struct h5_room *room = &growing->room;
    char *larger;
    (void)old;
    (void)operation;
    if (size <= growing->capacity)
        return growing->data + room->front;
    larger = size > SIZE_MAX / 2 ? NULL : growing->host->allocate(room->front + size + size / 8 + room->behind);
    if (!larger)
        return NULL;
    if (growing->data)
        memcpy(larger + room->front, growing->data + room->front, growing->capacity);
    growing->host->release(growing->data);
    growing->data = larger;
    growing->capacity = size + size / 8;
    return larger + room->front;
}
static void *grow_first(size_t size, H5FD_file_image_op_t operation, void *context)
{
    return grow(NULL, size, operation, context);
}
static herr_t keep_it(void *data, H5FD_file_image_op_t operation, void *context)
{
    (void)data;
    (void)operation;
    (void)context;
    return 0; /* it is ours, also when HDF5 is done with it */
}
static void *same_context(void *context)
{
    return context;
}
static herr_t leave_context(void *context)
{
    (void)context;
    return 0;
}

static void writer_close(struct h5_writer *writer)
{
    if (writer->file >= 0)
        (void)H5Fclose(writer->file);
    if (writer->dataset_plist >= 0)
        (void)H5Pclose(writer->dataset_plist);
    if (writer->ascii >= 0)
        (void)H5Tclose(writer->ascii);
    if (writer->utf8 >= 0)
        (void)H5Tclose(writer->utf8);
}

/* Memory for all weights and, by a generous rule of thumb, what HDF5 puts around them. */
static size_t expected_bytes(const struct tn_weights *weights)
{
    uint64_t bytes = 1 << 16;
    for (uint32_t i = 0; i < weights->layer_count; i++) {
        bytes += 4096;
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            bytes += (1 + (uint64_t)weights->layers[i].weights[j].slot_count) *
                     (tn_shape_elements(&weights->layers[i].weights[j].shape) * sizeof(float) + 1024);
    }
    return (size_t)bytes;
}

static tn_status writer_open(struct h5_writer *writer, struct growing *growing, const struct tn_weights *weights,
                             struct tn_error *error)
{
    H5FD_file_image_callbacks_t callbacks = {grow_first, NULL, grow, keep_it, same_context, leave_context, growing};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    *writer = (struct h5_writer){-1, text_type(H5T_CSET_ASCII), text_type(H5T_CSET_UTF8), H5Pcreate(H5P_DATASET_CREATE),
                                 error};
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (access >= 0 && writer->ascii >= 0 && writer->utf8 >= 0 && writer->dataset_plist >= 0 &&
        grow_first(expected_bytes(weights), H5FD_FILE_IMAGE_OP_FILE_OPEN, growing) &&
        H5Pset_obj_track_times(writer->dataset_plist, 0) >= 0 && H5Pset_fapl_core(access, 1 << 16, 0) >= 0 &&
        H5Pset_file_image_callbacks(access, &callbacks) >= 0)
        writer->file = H5Fcreate("tenon-image", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (access >= 0)
        (void)H5Pclose(access);
    if (writer->file >= 0)
        return TN_OK;
    writer_close(writer);
    return tn_fail(error, TN_NO_MEMORY, "no memory for an HDF5 file");
}

/* Ends the file; its bytes are the first ones of the growing memory. */
static tn_status take_bytes(struct h5_writer *writer, struct growing *growing, void **data, uint64_t *bytes)
{
    ssize_t size = H5Fflush(writer->file, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(writer->file, NULL, 0);
    herr_t closed = H5Fclose(writer->file);
    writer->file = -1;
    if (size <= 0 || closed < 0 || (size_t)size > growing->capacity)
        return h5_broken(writer, "the file");
    *data = growing->data;
    *bytes = (uint64_t)size;
    growing->data = NULL;
    return TN_OK;
}

tn_status h5_put_text(const struct h5_writer *writer, hid_t object, const char *name, const char *text, hid_t type)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    tn_status status = attribute < 0 || H5Awrite(attribute, type, &text) < 0 ? h5_broken(writer, name) : TN_OK;
    if (attribute >= 0)
        (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    return status;
}

/* An empty list is an empty array of numbers: h5py writes it so. */
static tn_status put_some_texts(const struct h5_writer *writer, hid_t object, const char *name,
                                const char *const *texts, size_t count, hid_t type)
{
    hsize_t size = count;
    hid_t space = H5Screate_simple(1, &size, NULL);
    hid_t attribute = H5Acreate2(object, name, count ? type : H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    tn_status status =
        attribute < 0 || (count && H5Awrite(attribute, type, texts) < 0) ? h5_broken(writer, name) : TN_OK;
    if (attribute >= 0)
        (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    return status;
}

tn_status h5_put_texts(const struct h5_writer *writer, hid_t object, const char *name, const char *const *texts,
                       size_t count, hid_t type)
{
    tn_status status = TN_OK;
    char piece[64];
    if (count <= NAMES_IN_ONE)
        return put_some_texts(writer, object, name, texts, count, type);
    for (size_t i = 0; i * NAMES_IN_ONE < count && status == TN_OK; i++) {
        size_t rest = count - i * NAMES_IN_ONE;
        (void)snprintf(piece, sizeof piece, "%s%zu", name, i);
        status = put_some_texts(writer, object, piece, texts + i * NAMES_IN_ONE,
                                rest < NAMES_IN_ONE ? rest : NAMES_IN_ONE, type);
    }
    return status;
}

tn_status h5_put_tensor(const struct h5_writer *writer, hid_t group, const char *name, const struct tn_shape *shape,
                        const float *data)
{
    hsize_t dims[TN_MAX_RANK];
    hid_t space, dataset;
    tn_status status;
    for (int32_t i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dims[i];
    space = shape->rank ? H5Screate_simple(shape->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    dataset = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, writer->dataset_plist, H5P_DEFAULT);
    status = dataset < 0 || H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0
                 ? h5_broken(writer, name)
                 : TN_OK;
    if (dataset >= 0)
        (void)H5Dclose(dataset);
    if (space >= 0)
        (void)H5Sclose(space);
    return status;
}

tn_status h5_put_number(const struct h5_writer *writer, hid_t group, const char *name, hid_t stored, double value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t dataset = H5Dcreate2(group, name, stored, space, H5P_DEFAULT, writer->dataset_plist, H5P_DEFAULT);
    tn_status status = dataset < 0 || H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) < 0
                           ? h5_broken(writer, name)
                           : TN_OK;
    if (dataset >= 0)
        (void)H5Dclose(dataset);
    if (space >= 0)
        (void)H5Sclose(space);
    return status;
}

hid_t h5_make_group(hid_t parent, const char *name)
{
    return H5Gcreate2(parent, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

/* What is the same in both layouts. */
static tn_status write_file(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags, bool keras3,
                            const struct h5_room *room, void **data, uint64_t *bytes, struct tn_error *error)
{
    struct growing growing = {host, room ? *room : (struct h5_room){0, 0}, NULL, 0};
    struct h5_writer writer;
    tn_status status = writer_open(&writer, &growing, weights, error);
    if (status != TN_OK)
        goto out;
    status = keras3 ? h5_put_keras3(&writer, weights, flags) : h5_put_legacy(&writer, weights, flags);
    if (status == TN_OK && weights->class_count)
        status =
            h5_put_texts(&writer, writer.file, "tenon_classes", weights->classes, weights->class_count, writer.utf8);
    if (status == TN_OK)
        status = take_bytes(&writer, &growing, data, bytes);
    writer_close(&writer);
out:
    host->release(growing.data);
    return status;
}

tn_status h5_write_legacy(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags, void **data,
                          uint64_t *bytes, struct tn_error *error)
{
    return write_file(host, weights, flags, false, NULL, data, bytes, error);
}

tn_status h5_write_keras3(const struct tn_host *host, const struct tn_weights *weights, uint32_t flags,
                          const struct h5_room *room, void **data, uint64_t *bytes, struct tn_error *error)
{
    return write_file(host, weights, flags, true, room, data, bytes, error);
}
