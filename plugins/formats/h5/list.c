/* list.c: all arrays of an .h5 file: name, shape, type; for people who want to know what is in it. No data is read.
 * Runs in the child of child.c, which hands over what it found in memory that both see.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "read.h"

enum { MOST_ITEMS = 1 << 16, MOST_OBJECTS = 1 << 18, DEEPEST = 24, ITEM_NAME = 512, ITEM_AXES = 8 };

struct item {
    char name[ITEM_NAME], type[24];
    int32_t role, rank;
    uint64_t dims[ITEM_AXES], bytes;
};

/* What both processes see. */
struct listing {
    struct h5_result result;
    uint32_t count, left_out;
    struct item items[];
};

struct walk {
    const void *data;
    uint64_t bytes;
    struct listing *listing;
    uint32_t room, objects, depth;
    char path[ITEM_NAME]; /* of the group in hand; "" = the root */
};

static void name_type(hid_t dataset, char *text, size_t bytes)
{
    hid_t type = H5Dget_type(dataset);
    H5T_class_t kind = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    size_t bits = type < 0 ? 0 : 8 * H5Tget_size(type);
    if (kind == H5T_FLOAT)
        (void)snprintf(text, bytes, "float%zu", bits);
    else if (kind == H5T_INTEGER)
        (void)snprintf(text, bytes, "%sint%zu", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", bits);
    else
        (void)snprintf(text, bytes, "%s", kind == H5T_STRING ? "text" : kind == H5T_NO_CLASS ? "unknown" : "other");
    if (type >= 0)
        (void)H5Tclose(type);
}

/* Keras keeps the optimizer's state apart: in optimizer_weights, or in optimizer. */
static int32_t role_of(const char *path, const char *type)
{
    if (strncmp(path, "optimizer_weights/", 18) == 0 || strncmp(path, "optimizer/", 10) == 0)
        return TN_ARRAY_OPTIMIZER;
    return strncmp(type, "float", 5) == 0 ? TN_ARRAY_WEIGHT : TN_ARRAY_OTHER;
}

static void add_item(struct walk *walk, hid_t dataset, const char *path)
{
    hsize_t dims[H5S_MAX_RANK];
    struct listing *listing = walk->listing;
    struct item *item;
    if (listing->count >= walk->room) {
        listing->left_out++;
        return;
    }
    item = &listing->items[listing->count++];
    hid_t space = H5Dget_space(dataset);
    int rank = space < 0 ? 0 : H5Sget_simple_extent_dims(space, dims, NULL);
    (void)snprintf(item->name, sizeof item->name, "%s", path);
    name_type(dataset, item->type, sizeof item->type);
    item->role = role_of(path, item->type);
    item->rank = rank > 0 ? rank : 0;
    for (int i = 0; i < item->rank && i < ITEM_AXES; i++)
        item->dims[i] = dims[i];
    item->bytes = H5Dget_storage_size(dataset);
    if (space >= 0)
        (void)H5Sclose(space);
}

/* Plain links only: others lead out of the file. Links may form circles, so depth and number are bounded. */
static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    struct walk *walk = context;
    size_t length = strlen(walk->path), more = strlen(name);
    hid_t object;
    if (++walk->objects > MOST_OBJECTS)
        return 1; /* ends the walk */
    if (info->type != H5L_TYPE_HARD || walk->depth >= DEEPEST || length + more + 2 > sizeof walk->path)
        return 0;
    object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0)
        return 0;
    (void)snprintf(walk->path + length, sizeof walk->path - length, "%s%s", length ? "/" : "", name);
    if (H5Iget_type(object) == H5I_DATASET) {
        add_item(walk, object, walk->path);
    } else if (H5Iget_type(object) == H5I_GROUP) {
        walk->depth++;
        (void)H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, walk);
        walk->depth--;
    }
    walk->path[length] = '\0';
    (void)H5Oclose(object);
    return 0;
}

/* ---- what else there is to say ---- */

static void add_attribute(hid_t file, uint64_t bytes, const char *attribute, const char *words, char *text, size_t room)
{
    struct h5_names names;
    size_t used = strlen(text);
    if (used < room && h5_names_read(file, attribute, bytes, &names, NULL) == TN_OK) {
        if (names.count == 1)
            (void)snprintf(text + used, room - used, "%s%s %.60s", used ? ", " : "", words, names.items[0]);
        h5_names_release(&names);
    }
}

static void add_classes(hid_t file, uint64_t bytes, char *text, size_t room)
{
    struct h5_names names;
    size_t used = strlen(text);
    if (h5_names_read(file, "tenon_classes", bytes, &names, NULL) != TN_OK)
        return;
    if (names.count && used < room)
        used += (size_t)snprintf(text + used, room - used, "%s%zu classes:", used ? ", " : "", names.count);
    for (size_t i = 0; i < names.count && i < 10 && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s %.60s", i ? "," : "", names.items[i]);
    if (names.count > 10 && used < room)
        (void)snprintf(text + used, room - used, ", ...");
    h5_names_release(&names);
}

static void describe(hid_t file, uint64_t bytes, char *text, size_t room)
{
    bool legacy = H5Aexists(file, "layer_names") > 0 || H5Aexists(file, "layer_names0") > 0;
    bool whole = h5_has_path(file, "model_weights"), keras3 = h5_has_path(file, "layers");
    (void)snprintf(text, room, "%s",
                   legacy   ? "weights in Keras' legacy layout"
                   : whole  ? "a whole model in Keras' legacy layout"
                   : keras3 ? "weights in Keras 3's layout"
                            : "no layout of Keras");
    add_attribute(file, bytes, "keras_version", "by Keras", text, room);
    add_attribute(file, bytes, "backend", "backend", text, room);
    add_classes(file, bytes, text, room);
}

static void list_all(void *context)
{
    struct walk *walk = context;
    struct h5_image image = {(void *)(uintptr_t)walk->data};
    struct h5_result *result = &walk->listing->result;
    hid_t file;
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    (void)H5PLset_loading_state(0); /* no filters from elsewhere */
    file = walk->bytes < 8 || walk->bytes > SIZE_MAX / 4 ? -1 : h5_open_image(&image, (size_t)walk->bytes);
    if (file < 0) {
        result->status = tn_fail(&result->error, TN_CORRUPT, "this is no HDF5 file, or it is cut off");
        return;
    }
    if (H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, walk) < 0)
        result->status = tn_fail(&result->error, TN_CORRUPT, "its list of contents is damaged");
    describe(file, walk->bytes, result->notes, sizeof result->notes);
    (void)H5Fclose(file);
}

/* ---- in the parent ---- */

/* The child may have been led astray before it ended: nothing that it left is taken for good. */
static void tell(struct item *item, void (*visit)(void *context, const struct tn_array_info *array), void *context)
{
    struct tn_array_info array = {.size = sizeof array, .role = item->role, .rank = item->rank, .bytes = item->bytes};
    item->name[sizeof item->name - 1] = item->type[sizeof item->type - 1] = '\0';
    array.name = item->name, array.type_name = item->type;
    if (array.rank < 0 || array.rank > H5S_MAX_RANK)
        array.rank = 0;
    memcpy(array.dims, item->dims, sizeof array.dims);
    visit(context, &array);
}

tn_status h5_list(const void *data, uint64_t bytes, void (*visit)(void *context, const struct tn_array_info *array),
                  void *context, char *notes, uint64_t notes_bytes, struct tn_error *error)
{
    /* An array takes more than 64 bytes of a file, whatever the file says. */
    uint32_t room = bytes / 64 < MOST_ITEMS ? (uint32_t)(bytes / 64) : MOST_ITEMS;
    size_t size = sizeof(struct listing) + room * sizeof(struct item);
    struct listing *listing = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct walk walk = {.data = data, .bytes = bytes, .listing = listing, .room = room};
    tn_status status;
    if (listing == MAP_FAILED)
        return tn_fail(error, TN_NO_MEMORY, "no memory to list what is in the file");
    status = h5_in_child(list_all, &walk, bytes, &listing->result.finished, error);
    if (status == TN_OK && listing->result.status != TN_OK) {
        listing->result.error.text[sizeof listing->result.error.text - 1] = '\0';
        status = tn_fail(error, listing->result.status, "%s", listing->result.error.text);
    }
    for (uint32_t i = 0; status == TN_OK && i < listing->count && i < room; i++)
        tell(&listing->items[i], visit, context);
    listing->result.notes[sizeof listing->result.notes - 1] = '\0';
    if (notes && notes_bytes)
        (void)snprintf(notes, (size_t)notes_bytes, "%s%s", listing->result.notes,
                       listing->left_out ? "; there are too many arrays to list them all" : "");
    (void)munmap(listing, size);
    return status;
}
