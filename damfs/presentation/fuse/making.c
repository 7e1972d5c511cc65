/*
 * New files, made without asking Python: those like one that Python has just made in the same directory, for the same
 * user, in the same mode, by a name that is plain and not there. Python has said which numbers the next assets may have,
 * and answers for it that nothing more is to be decided about files of that directory. It hears of what was made before
 * it answers anything else, or a moment later (received.c), and enters it into the catalog.
 *
 * Concurrency: requests come one at a time, and Python calls from the same thread. Crash rule: before the kernel is told
 * of a file it is noted, by number, time, mode and name, in a file that outlives this process, so that start-up finds
 * whose bytes are in the staged file of that number. Bytes and note are in the page cache, as if Python had written them.
 */
#define _GNU_SOURCE
#include "making.h"
#include "names.h"
#include "received.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define HANDLES (1ull << 62) /* Python's own are small */
#define PERMISSIONS 07777
#define NOTE_ROOM 512
#define NUMBER_ROOM 24

static struct {
	int staging, notes; /* descriptors of Python's */
	off_t noted;
	uint64_t mark;	    /* an inode is this and the number of its asset */
	uint64_t next, end; /* numbers that may be given */
	uint64_t handle;    /* of the file that those to come are to be like */
	int ready;	    /* the kernel was told of that one */

	uint64_t unique; /* of the CREATE that Python answers just now */
	uint64_t parent;
	uint32_t uid, gid;
	struct fuse_create_in how;

	struct fuse_entry_out entry;
	struct fuse_open_out open;
} maker;

static struct {
	uint64_t parent;
	uint32_t uid, gid;
	struct fuse_create_in how;
} like;

void making_reset(void) { memset(&maker, 0, sizeof maker); }

static void see_create(const struct fuse_in_header *in, const struct fuse_create_in *how)
{
	maker.unique = in->unique;
	maker.parent = in->nodeid;
	maker.uid = in->uid;
	maker.gid = in->gid;
	maker.how = *how;
}

void making_replied(uint64_t unique, const struct fuse_entry_out *entry, const struct fuse_open_out *open)
{
	if (unique != maker.unique || !maker.handle || open->fh != maker.handle)
		return;
	like.parent = maker.parent;
	like.uid = maker.uid;
	like.gid = maker.gid;
	like.how = maker.how;
	maker.entry = *entry;
	maker.open = *open;
	maker.ready = 1;
}

static int is_alike(const struct fuse_in_header *in, const struct fuse_create_in *how)
{
	return maker.ready && maker.next < maker.end && in->nodeid == like.parent && in->uid == like.uid &&
	       in->gid == like.gid && memcmp(how, &like.how, sizeof *how) == 0;
}

static int note(uint64_t number, const struct timespec *now, const char *name)
{
	char line[NOTE_ROOM];
	int size = snprintf(line, sizeof line, "%llu %lld%09ld %u %s\n", (unsigned long long)number,
			    (long long)now->tv_sec, now->tv_nsec, like.how.mode & PERMISSIONS, name);

	if (pwrite(maker.notes, line, (size_t)size, maker.noted) != size)
		return 0;
	maker.noted += size;
	return 1;
}

/* A descriptor of its staged file; -1: Python is to try it, and to say what is wrong. */
static int stage(uint64_t number, const struct timespec *now, const char *name)
{
	char path[NUMBER_ROOM];
	int fd;

	snprintf(path, sizeof path, "%llu", (unsigned long long)number);
	if (!note(number, now, name))
		return -1;
	fd = openat(maker.staging, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		maker.ready = 0;
		maker.next += errno == EEXIST;
	}
	return fd;
}

static void unmake(uint64_t number, uint64_t handle, int fd)
{
	char path[NUMBER_ROOM];

	snprintf(path, sizeof path, "%llu", (unsigned long long)number);
	received_unmade(handle);
	unlinkat(maker.staging, path, 0);
	close(fd);
}

static void fill(struct fuse_entry_out *entry, uint64_t inode, const struct timespec *now)
{
	*entry = maker.entry;
	entry->nodeid = entry->attr.ino = inode;
	entry->attr.size = entry->attr.blocks = 0;
	entry->attr.atime = entry->attr.mtime = entry->attr.ctime = (uint64_t)now->tv_sec;
	entry->attr.atimensec = entry->attr.mtimensec = entry->attr.ctimensec = (uint32_t)now->tv_nsec;
}

/* Whether the kernel took it. */
static int tell(int fd, uint64_t unique, struct fuse_entry_out *entry, struct fuse_open_out *open)
{
	struct fuse_out_header out = {.len = sizeof out + sizeof *entry + sizeof *open, .unique = unique};
	struct iovec iov[3] = {{&out, sizeof out}, {entry, sizeof *entry}, {open, sizeof *open}};

	return writev(fd, iov, 3) > 0;
}

static int make(int fd, const struct fuse_in_header *in, const char *name, size_t size)
{
	uint64_t number = maker.next, handle = HANDLES | number;
	struct fuse_open_out open = maker.open;
	struct fuse_entry_out entry;
	struct timespec now;
	int file, was_taken_back;

	clock_gettime(CLOCK_REALTIME, &now);
	file = stage(number, &now, name);
	if (file < 0)
		return 0;
	maker.next++;
	open.fh = handle;
	fill(&entry, maker.mark | number, &now);
	names_add(in->nodeid, name, size - 1);
	received_made(handle, file, in->nodeid, name, &entry);
	if (tell(fd, in->unique, &entry, &open))
		return 1;
	was_taken_back = errno == ENOENT; /* who asked was killed meanwhile */
	unmake(number, handle, file);
	return was_taken_back;
}

int making_answer(int fd, const struct fuse_in_header *in, const char *body, size_t size)
{
	const char *name = body + sizeof(struct fuse_create_in);
	struct fuse_create_in how;

	if (size <= sizeof how)
		return 0;
	memcpy(&how, body, sizeof how);
	size -= sizeof how;
	if (is_alike(in, &how) && names_free(in, name, size) && received_has_room() && make(fd, in, name, size))
		return 1;
	see_create(in, &how);
	return 0;
}

/* ---- for Python ---- */

/* Files may be made from the reply on that opens the handle, if they are like that one. They are staged in a directory,
 * and noted in a file that is empty, or has notes of what Python was not told yet. Both stay open while it is mounted. */
EXPORTED void damfs_may_make(uint64_t handle, int staging, int notes, uint64_t mark)
{
	maker.handle = handle;
	maker.staging = staging;
	maker.notes = notes;
	maker.mark = mark;
	maker.ready = 0;
}

EXPORTED void damfs_make_no_more(void) { maker.handle = maker.ready = 0; }

/* Numbers that nobody else gives to assets. */
EXPORTED void damfs_numbers(uint64_t first, uint64_t end)
{
	maker.next = first;
	maker.end = end;
}

EXPORTED uint64_t damfs_numbers_left(void) { return maker.end - maker.next; }

/* All that was noted is in the catalog, by the last commit. */
EXPORTED void damfs_entered(void)
{
	received_entered();
	if (maker.noted && ftruncate(maker.notes, 0) == 0)
		maker.noted = 0;
}
