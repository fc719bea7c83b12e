// The whole product: rows are quantised, then panels of columns are shared out between threads. Knows nothing of the
// processor, which is in the kernels, nor of who owns the threads.
#include "matmul.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  STRETCH = 16,     // units of K at a time: their bytes stay in the first cache while rows pass by
  CHUNK_ROWS = 128, // rows of a task at most: their sums are on its stack, their activations stay in the second cache
  FEW_GROUPS = 16,  // of panels, up to FEW_ROWS rows: several for each thread of an ordinary pool, of equal bytes
  MANY_GROUPS = 32,
  FEW_ROWS = 32,
  FEW_TILES = 3
};

typedef struct Job {
  const MwMatMulKernels *kernels;
  const MwProduct *product;
  MwLayout layout;
  MwForm form;
  int zero;           // what the start of integer sums takes off
  int64_t tiles;      // of rows, nearly equal ones
  int64_t chunk_tiles;
  int64_t groups;     // of panels
  uint8_t *quantised; // [tiles]
} Job;

/** Part `index` of `total` things in `parts` nearly equal parts begins here. */
static int64_t part(int64_t total, int64_t parts, int64_t index) {
  return total / parts * index + (index < total % parts ? index : total % parts);
}

static void quantise_tile(void *user, size_t index) {
  const Job *job = user;
  int64_t depth = job->product->weights->depth;
  int64_t row = part(job->product->rows, job->tiles, (int64_t)index);
  int rows = (int)(part(job->product->rows, job->tiles, (int64_t)index + 1) - row);
  job->kernels->quantise(job->quantised + row * mw_row_bytes(&job->layout), job->product->x + row * depth, rows, depth,
                         job->layout.unit, job->zero);
}

/** The scales of `units` units from `first` on, one row of 32 for each: in the panel itself where they lie so. */
static const float *scales_of(const Job *job, const uint8_t *panel, int64_t first, int64_t units, float *scratch) {
  const MwLayout *l = &job->layout;
  const MwWeights *w = job->product->weights;
  int64_t per_block = w->block / l->unit;
  const uint8_t *at = panel + first / per_block * l->scale_bytes;
  if (per_block == 1 && w->scale_type == MW_SCALE_F32) return (const float *)(const void *)at;
  if (per_block == 1) job->kernels->widen_scales(scratch, at, units * MW_PANEL, w->scale_type);
  else
    for (int64_t u = 0; u < units; u++)
      job->kernels->widen_scales(scratch + u * MW_PANEL, at + u / per_block * l->scale_bytes, MW_PANEL, w->scale_type);
  return scratch;
}

/** The weights of `units` units from `first` on in the job's form. */
static const uint8_t *weights_of(const Job *job, const uint8_t *panel, int64_t first, int64_t units, uint8_t *scratch) {
  const MwLayout *l = &job->layout;
  const uint8_t *at = panel + l->weights_at + first * l->unit_bytes;
  if (job->form == MW_NIBBLES || job->form == MW_BYTES_255) return at;
  if (job->form == MW_BYTES_15) {
    job->kernels->unpack(scratch, at, 0, units, l->unit);
    return scratch;
  }
  uint8_t zero_points[STRETCH * MW_PANEL];
  int64_t per_block = job->product->weights->block / l->unit;
  for (int64_t u = 0; u < units; u++)
    memcpy(zero_points + u * MW_PANEL, panel + l->zero_points_at + (first + u) / per_block * MW_PANEL, MW_PANEL);
  job->kernels->unpack(scratch, at, zero_points, units, l->unit);
  return scratch;
}

/**
 * Asks for what is read after the stretch that begins at unit `first`: its scales now; its weights are returned, for a
 * tile to ask for on its way. Null when that was the last.
 */
static const uint8_t *look_ahead(const Job *job, int64_t panel, int64_t first) {
  const MwLayout *l = &job->layout;
  int64_t next = first + STRETCH, per_block = job->product->weights->block / l->unit;
  if (next >= l->units) next = 0, panel++;
  if (panel >= l->panels) return 0;
  const uint8_t *data = job->product->weights->data + panel * l->panel_bytes;
  const uint8_t *scales = data + next / per_block * l->scale_bytes;
  int64_t blocks = l->blocks - next / per_block, most = STRETCH / per_block;
  if (blocks > most) blocks = most;
  for (int64_t i = 0; i < blocks * l->scale_bytes; i += 64) __builtin_prefetch(scales + i);
  return data + l->weights_at + next * l->unit_bytes;
}

static void write_out(const MwProduct *p, const float *sums, int64_t panel, int64_t row, int64_t rows) {
  int64_t first = panel * MW_PANEL;
  int64_t count = p->weights->columns - first < MW_PANEL ? p->weights->columns - first : MW_PANEL;
  for (int64_t r = 0; r < rows; r++) {
    float *y = p->y + (row + r) * p->weights->columns + first;
    for (int64_t c = 0; c < count; c++)
      y[c] = p->bias ? sums[r * MW_PANEL + c] + p->bias[first + c] : sums[r * MW_PANEL + c];
  }
}

/** Adds a stretch to the sums of all rows of some tiles. `step` holds what is the same for all. */
static void multiply_stretch(const Job *job, MwTile step, int64_t first, int64_t first_tile, int64_t last_tile) {
  int64_t rows = job->product->rows, row_bytes = mw_row_bytes(&job->layout);
  int64_t unit_row_bytes = job->layout.unit + MW_ROW_EXTRA;
  int64_t row = part(rows, job->tiles, first_tile);
  for (int64_t tile = first_tile; tile < last_tile; tile++) {
    int64_t next = part(rows, job->tiles, tile + 1);
    step.rows = (int)(next - row);
    step.quantised = job->quantised + row * row_bytes + first * step.rows * unit_row_bytes;
    job->kernels->tile(&step);
    step.sums += step.rows * MW_PANEL;
    step.ahead = next < rows ? job->quantised + next * row_bytes + first * step.rows * unit_row_bytes : 0;
    row = next;
  }
}

static void multiply_panel(const Job *job, int64_t panel_index, int64_t first_tile, int64_t last_tile) {
  _Alignas(64) float sums[CHUNK_ROWS * MW_PANEL];
  _Alignas(64) float scale_scratch[STRETCH * MW_PANEL];
  _Alignas(64) uint8_t weight_scratch[STRETCH * 32 * MW_PANEL];
  const MwLayout *l = &job->layout;
  int64_t row = part(job->product->rows, job->tiles, first_tile);
  int64_t rows = part(job->product->rows, job->tiles, last_tile) - row;
  const uint8_t *panel = job->product->weights->data + panel_index * l->panel_bytes;
  memset(sums, 0, (size_t)rows * MW_PANEL * sizeof *sums);
  for (int64_t first = 0; first < l->units; first += STRETCH) {
    int64_t units = l->units - first < STRETCH ? l->units - first : STRETCH;
    MwTile step = {
        .form = job->form,
        .unit = l->unit,
        .units = units,
        .weights = weights_of(job, panel, first, units, weight_scratch),
        .scales = scales_of(job, panel, first, units, scale_scratch),
        .sums = sums,
        .ahead = look_ahead(job, panel_index, first),
    };
    multiply_stretch(job, step, first, first_tile, last_tile);
  }
  write_out(job->product, sums, panel_index, row, rows);
}

/** One group of panels for one chunk of rows. Chunks are the outer loop: neighbours in time share activations. */
static void multiply_group(void *user, size_t index) {
  const Job *job = user;
  int64_t chunk = (int64_t)index / job->groups, group = (int64_t)index % job->groups;
  int64_t first_tile = chunk * job->chunk_tiles, last_tile = first_tile + job->chunk_tiles;
  if (last_tile > job->tiles) last_tile = job->tiles;
  int64_t panel = part(job->layout.panels, job->groups, group), end = part(job->layout.panels, job->groups, group + 1);
  for (; panel < end; panel++) multiply_panel(job, panel, first_tile, last_tile);
}

/** A few tiles read nibbles as they lie; for more it pays to unpack them once. */
static MwForm form_of(const MwWeights *w, int64_t tiles) {
  if (w->bits == 8) return MW_BYTES_255;
  if (w->zero_points) return MW_BYTES_30;
  return tiles <= FEW_TILES && w->block != 16 ? MW_NIBBLES : MW_BYTES_15;
}

static int zero_of(const MwMatMulKernels *kernels, MwForm form) {
  if (form == MW_BYTES_255) return kernels->signed_255 ? 0 : 128;
  return form == MW_BYTES_30 ? 15 : 8;
}

// Room for quantised rows. One piece is kept for the next call; calls at the same time get others.
typedef struct Room {
  int64_t bytes;
} Room;
enum { ROOM_HEADER = 64 };
static _Atomic(Room *) kept;

static Room *take_room(int64_t bytes) {
  Room *room = atomic_exchange(&kept, 0);
  if (room && room->bytes >= bytes) return room;
  free(room);
  room = malloc(ROOM_HEADER + 64 + (size_t)bytes);
  if (room) room->bytes = bytes;
  return room;
}

static void give_back(Room *room) { free(atomic_exchange(&kept, room)); }

static uint8_t *inside(Room *room) {
  uintptr_t at = (uintptr_t)room + ROOM_HEADER;
  return (uint8_t *)room + ROOM_HEADER + (64 - at % 64) % 64;
}

static int run(Job *job, MwParallel parallel, void *pool) {
  size_t tasks = (size_t)(job->groups * ((job->tiles + job->chunk_tiles - 1) / job->chunk_tiles));
  if (job->tiles == 1) quantise_tile(job, 0);
  else if (parallel(pool, quantise_tile, (size_t)job->tiles, job)) return MW_NOT_RUN;
  return parallel(pool, multiply_group, tasks, job) ? MW_NOT_RUN : MW_OK;
}

int mw_matmul(const MwMatMulKernels *kernels, const MwProduct *product, MwParallel parallel, void *pool) {
  Job job = {.kernels = kernels, .product = product};
  if (mw_layout(&job.layout, product->weights)) return MW_UNSUPPORTED;
  int64_t row_bytes = mw_row_bytes(&job.layout);
  if (product->rows <= 0) return MW_OK;
  if (product->rows > INT32_MAX || product->rows > (INT64_MAX >> 1) / row_bytes) return MW_NO_MEMORY;
  job.tiles = (product->rows + kernels->tile_rows - 1) / kernels->tile_rows;
  job.chunk_tiles = CHUNK_ROWS / kernels->tile_rows;
  job.form = form_of(product->weights, job.tiles);
  job.zero = zero_of(kernels, job.form);
  int64_t groups = product->rows <= FEW_ROWS ? FEW_GROUPS : MANY_GROUPS;
  job.groups = groups < job.layout.panels ? groups : job.layout.panels;
  Room *room = take_room(product->rows * row_bytes);
  if (!room) return MW_NO_MEMORY;
  job.quantised = inside(room);
  int result = run(&job, parallel, pool);
  give_back(room);
  return result;
}
