/* names.c: lists of texts in attributes. h5py has written them with variable and with fixed length, in one attribute
 * or, when they passed 64 KB, in several (layer_names0, layer_names1, …); an empty list is an empty array of numbers.
 */
#include <stdlib.h>

#include "h5.h"

void h5_names_release(struct h5_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct h5_names){NULL, 0};
}

static tn_status add(struct h5_names *names, const char *text, size_t length, struct tn_error *error)
{
    char *copy = malloc(length + 1);
    if (!copy)
        return tn_fail(error, TN_NO_MEMORY, "no memory for names");
    memcpy(copy, text, length);
    copy[length] = '\0';
    names->items[names->count++] = copy; /* room was made by the caller */
    return TN_OK;
}

/* Elements of type `type` are read as one block and cut into texts; padding with zeros or blanks is taken off. */
static tn_status read_fixed(hid_t attribute, hid_t type, size_t count, struct h5_names *names, struct tn_error *error)
{
    size_t size = H5Tget_size(type);
    char *block = calloc(count, size);
    tn_status status = TN_OK;
    if (!block)
        return tn_fail(error, TN_NO_MEMORY, "no memory for names");
    if (H5Aread(attribute, type, block) < 0)
        status = tn_fail(error, TN_CORRUPT, "names cannot be read");
    for (size_t i = 0; i < count && status == TN_OK; i++) {
        size_t length = strnlen(block + i * size, size);
        while (H5Tget_strpad(type) == H5T_STR_SPACEPAD && length > 0 && block[i * size + length - 1] == ' ')
            length--;
        status = add(names, block + i * size, length, error);
    }
    free(block);
    return status;
}

static tn_status read_variable(hid_t attribute, hid_t type, hid_t space, size_t count, struct h5_names *names,
                               struct tn_error *error)
{
    char **texts = calloc(count, sizeof *texts);
    hid_t memory_type = H5Tcopy(H5T_C_S1);
    tn_status status = TN_OK;
    if (!texts || memory_type < 0 || H5Tset_size(memory_type, H5T_VARIABLE) < 0 ||
        H5Tset_cset(memory_type, H5Tget_cset(type)) < 0)
        status = tn_fail(error, TN_NO_MEMORY, "no memory for names");
    else if (H5Aread(attribute, memory_type, texts) < 0)
        status = tn_fail(error, TN_CORRUPT, "names cannot be read");
    for (size_t i = 0; i < count && status == TN_OK; i++)
        status = add(names, texts[i] ? texts[i] : "", texts[i] ? strlen(texts[i]) : 0, error);
    if (texts)
        (void)H5Dvlen_reclaim(memory_type, space, H5P_DEFAULT, texts);
    free(texts);
    (void)H5Tclose(memory_type);
    return status;
}

static tn_status read_attribute(hid_t object, const char *name, uint64_t limit, struct h5_names *names,
                                struct tn_error *error)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute), space = attribute < 0 ? -1 : H5Aget_space(attribute);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    tn_status status = TN_OK;
    if (type < 0 || count < 0) {
        status = tn_fail(error, TN_CORRUPT, "the attribute %s cannot be read", name);
    } else if (count > 0 && H5Tget_class(type) != H5T_STRING) {
        status = tn_fail(error, TN_CORRUPT, "the attribute %s is not a list of names", name);
    } else if (count > 0 && (H5Tget_size(type) == 0 || (uint64_t)count > limit / H5Tget_size(type))) {
        status = tn_fail(error, TN_CORRUPT, "the attribute %s claims more names than the file has bytes", name);
    } else if (count > 0) {
        char **items = realloc(names->items, (names->count + (size_t)count) * sizeof *items);
        if (items)
            names->items = items;
        if (!items)
            status = tn_fail(error, TN_NO_MEMORY, "no memory for names");
        else if (H5Tis_variable_str(type) > 0)
            status = read_variable(attribute, type, space, (size_t)count, names, error);
        else
            status = read_fixed(attribute, type, (size_t)count, names, error);
    }
    if (space >= 0)
        (void)H5Sclose(space);
    if (type >= 0)
        (void)H5Tclose(type);
    if (attribute >= 0)
        (void)H5Aclose(attribute);
    return status;
}

tn_status h5_names_read(hid_t object, const char *name, uint64_t limit, struct h5_names *names, struct tn_error *error)
{
    tn_status status = TN_OK;
    *names = (struct h5_names){NULL, 0};
    if (H5Aexists(object, name) > 0) {
        status = read_attribute(object, name, limit, names, error);
    } else {
        char piece[64];
        for (unsigned i = 0; status == TN_OK; i++) {
            (void)snprintf(piece, sizeof piece, "%s%u", name, i);
            if (H5Aexists(object, piece) <= 0)
                break;
            status = read_attribute(object, piece, limit, names, error);
        }
    }
    if (status != TN_OK)
        h5_names_release(names);
    return status;
}
