/* What passthrough.c, received.c and making.c ask of names.c. */
#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

/* How often Python has told of a commit. */
long current_changes(void);

/* At each mount: nothing is known. */
void names_reset(void);

/* Whether a LOOKUP was answered; `name` is what follows its header, and ends with a 0. */
int names_answer(int fd, const struct fuse_in_header *in, const char *name, size_t size);

/* What Python answers to anything: before it is sent. */
void names_replied(const struct fuse_out_header *out, const void *payload, size_t size);

/* Whether a file may be made by this name: it is plain, and known not to be there. `size` is with the 0 at its end. */
int names_free(const struct fuse_in_header *in, const char *name, size_t size);

/* From now on it may be there. */
void names_add(uint64_t directory, const char *name, size_t size);
