/* image.c: a file in memory, opened in place. */
#include "read.h"

/* The bytes are used in place: these callbacks hand HDF5 the buffer itself instead of copies. */
static void *image_malloc(size_t size, H5FD_file_image_op_t operation, void *context)
{
    (void)size;
    (void)operation;
    return ((struct h5_image *)context)->bytes;
}
static void *image_memcpy(void *to, const void *from, size_t size, H5FD_file_image_op_t operation, void *context)
{
    (void)from;
    (void)size;
    (void)operation;
    (void)context;
    return to;
}
static void *image_realloc(void *old, size_t size, H5FD_file_image_op_t operation, void *context)
{
    (void)old;
    (void)size;
    (void)operation;
    (void)context;
    return NULL;
}
static herr_t image_free(void *bytes, H5FD_file_image_op_t operation, void *context)
{
    (void)bytes;
    (void)operation;
    (void)context;
    return 0;
}
static void *image_context_copy(void *context)
{
    return context;
}
static herr_t image_context_free(void *context)
{
    (void)context;
    return 0;
}

hid_t h5_open_image(struct h5_image *image, size_t bytes)
{
    H5FD_file_image_callbacks_t callbacks = {image_malloc,       image_memcpy,       image_realloc, image_free,
                                             image_context_copy, image_context_free, image};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = -1;
    if (access >= 0 && H5Pset_fapl_core(access, 64 * 1024, 0) >= 0 &&
        H5Pset_file_image_callbacks(access, &callbacks) >= 0 && H5Pset_file_image(access, image->bytes, bytes) >= 0)
        file = H5Fopen("tenon-image", H5F_ACC_RDONLY, access);
    if (access >= 0)
        (void)H5Pclose(access);
    return file;
}
