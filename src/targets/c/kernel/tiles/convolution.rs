//! Convolutions of images and sequences of floats, a block of outputs at a time.

use super::super::Held;
use super::super::access::{count, unfold};
use super::super::maker::{Maker, Outcome, Use};
use super::super::moves::{int, ints};
use super::factors::Restored;
use super::{COLUMNS, FLOAT_ROWS, Packing};
use crate::ir::ValueId;
use crate::quant::pack::Format;
use crate::targets::c::text::C;
use crate::types::{DType, Dim, Symbol};

/// Sizes of a convolution of one image, of which a sequence is one row.
struct Image {
    /// In a group.
    channels: i64,
    /// In a group.
    outputs: i64,
    groups: i64,
    size: [i64; 2],
    kernel: [i64; 2],
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: [i64; 2],
    out: [i64; 2],
}

/// Floats that a band of the image may take, where more than its fewest rows fit: `CONV2D_BAND`.
const BAND: i64 = 65_536;

impl Image {
    fn depth(&self) -> i64 {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    fn is_depthwise(&self) -> bool {
        self.channels == 1 && self.groups > 1
    }

    /// Values of the fields that both structs of the tiles begin with.
    fn window(&self) -> [i64; 10] {
        let [height, width] = self.size;
        let pairs = [self.kernel, self.stride, self.padding, self.dilation];
        let [[kernel_y, kernel_x], [stride_y, stride_x], [padding_y, padding_x], [dilation_y, dilation_x]] = pairs;
        [height, width, kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x]
    }

    /// What `conv2d_scratch_floats` gives.
    fn band_floats(&self) -> i64 {
        let reach = [0, 1].map(|axis| (self.kernel[axis] - 1) * self.dilation[axis]);
        let as_it_lies = self.padding == [0, 0] && self.stride == [1, 1];
        let is_flat = as_it_lies && reach == [0, 0];
        let out = if is_flat { [1, self.out[0] * self.out[1]] } else { self.out };
        let phases = (reach[0] + 1).min(self.stride[0]) * (reach[1] + 1).min(self.stride[1]);
        let shared = if self.stride[1] == 1 { self.padding[1].min(reach[1]) } else { 0 };
        let pitch = out[1] + reach[1] / self.stride[1] - shared;
        if as_it_lies && (out[0] - 1) * pitch + out[1] >= 16 {
            return 0;
        }
        let margin = reach[0] / self.stride[0];
        let fit = BAND / (self.channels * pitch * phases).max(1) - margin;
        let rows = out[0].min(fit.max(COLUMNS / pitch + 1));
        self.channels * pitch * (rows + margin) * phases + COLUMNS + self.padding[1]
    }
}

impl<'a> Maker<'a> {
    /// Writes a convolution by tiles, if there are any for it.
    pub fn convolution_tiles(&mut self, using: Use<'a>, shape: &[Dim], results: &[usize]) -> Outcome<bool> {
        let Some(image) = self.image(using, shape)? else { return Ok(false) };
        let names = ["batch#", "output#", "place#"].map(Symbol::new);
        let places = image.out[0] * image.out[1];
        let sizes = [shape[0].clone(), shape[1].clone(), Dim::constant(places)];
        names.iter().zip(sizes).for_each(|(name, size)| self.ranges.open(name, size));
        let [batch, output, place] = &names.each_ref().map(|name| Dim::symbol(name.as_str()));
        let at = self.output_at(batch, output, place, shape);
        let product = using.inst.results[0];
        let fits = results.iter().all(|result| self.place_of(self.results[*result].value, product, &at).is_some());
        names.iter().for_each(|name| self.ranges.close(name));
        if !fits {
            return Ok(false);
        }
        self.nests += 1;
        match image.is_depthwise() {
            true => self.depthwise(using, &image, shape, results)?,
            false => self.bands(using, &image, shape, results)?,
        }
        Ok(true)
    }

    /// The sizes, where all but the number of images are known.
    fn image(&self, using: Use<'a>, shape: &[Dim]) -> Outcome<Option<Image>> {
        let spatial = shape.len().saturating_sub(2);
        let [x, weight, ..] = using.inst.operands[..] else { return Ok(None) };
        let restored = self.restored_weight(weight);
        let plain =
            |value| self.operand(value).is_some_and(|own| own.held == Held::Plain && own.dtype == DType::Float32);
        if !(1..=2).contains(&spatial)
            || !plain(x)
            || !(plain(weight) || restored.is_some())
            || self.dtype(using.inst.results[0]) != DType::Float32
        {
            return Ok(None);
        }
        let known = |dims: &[Dim]| dims.iter().map(Dim::as_const).collect::<Option<Vec<i64>>>();
        // A sequence is an image of one row.
        let two = |given: Option<Vec<i64>>, row: i64| match given?[..] {
            [width] => Some([row, width]),
            [height, width] => Some([height, width]),
            _ => None,
        };
        let (image, kernel) = (self.shape_of(x)?, self.shape_of(weight)?);
        let outside = known(&kernel[..2]).and_then(|sizes| <[i64; 2]>::try_from(sizes).ok());
        let (Some(groups), Some([outputs, channels])) = (int(self, using, "groups")?.as_const(), outside) else {
            return Ok(None);
        };
        let attr = |name: &str, row: i64| Ok(two(known(&ints(self, using, name, spatial)?), row));
        let found = (two(known(&image[2..]), 1), two(known(&kernel[2..]), 1), two(known(&shape[2..]), 1));
        let (Some(size), Some(kernel), Some(out)) = found else { return Ok(None) };
        let (Some(stride), Some(padding), Some(dilation)) =
            (attr("stride", 1)?, attr("padding", 0)?, attr("dilation", 1)?)
        else {
            return Ok(None);
        };
        let image =
            Image { channels, outputs: outputs / groups.max(1), groups, size, kernel, stride, padding, dilation, out };
        let is_whole = size.iter().chain(&kernel).chain(&out).chain([&channels, &outputs]).all(|size| *size > 0);
        Ok(is_whole.then_some(image))
    }

    /// The codes of a weight that is restored here, and its layout as floats, which is made once.
    fn restored_weight(&self, weight: ValueId) -> Option<(ValueId, Packing)> {
        let Restored { inst, scheme } = self.restored(weight)?;
        let codes = self.operand(inst.operands[0]).filter(|own| own.is_weight)?;
        let format = match codes.held {
            Held::Packed(format) => format,
            Held::Plain if codes.dtype == DType::Int8 => Format::Int8,
            Held::Plain | Held::Scalar => return None,
        };
        let sizes = codes.shape.iter().map(Dim::as_const).collect::<Option<Vec<i64>>>()?;
        let (k, rows) = sizes.split_last()?;
        let rows: i64 = rows.iter().product();
        let shared = match (scheme.axis, scheme.group) {
            (None, None) => rows,
            (Some(0), None) => rows / sizes[0].max(1),
            _ => return None,
        };
        let parts_are_weights =
            inst.operands[1..].iter().all(|part| self.operand(*part).is_some_and(|own| own.is_weight));
        let fits = parts_are_weights && self.dtype(inst.operands[1]) == DType::Float32 && format != Format::Ternary5;
        let packing = Packing::Restored { format, rows, k: *k, shared, zeros: inst.operands.len() > 2 };
        fits.then_some((inst.operands[0], packing))
    }

    /// A pointer into the weight, which may be restored.
    fn weight_at(&mut self, weight: ValueId, place: &Dim) -> String {
        let Some((codes, packing)) = self.restored_weight(weight) else { return self.pointer_to(weight, place) };
        let name = self.packed(codes, packing);
        if place.is_const(0) { name } else { format!("{name} + {}", self.index(place).text()) }
    }

    /// The index of an output, of which the place in its plane is known.
    fn output_at(&self, batch: &Dim, output: &Dim, place: &Dim, shape: &[Dim]) -> Vec<Dim> {
        let mut at = vec![batch.clone(), output.clone()];
        at.extend(unfold(self, place, &shape[2..]));
        at
    }

    fn bands(&mut self, using: Use<'a>, image: &Image, shape: &[Dim], results: &[usize]) -> Outcome<()> {
        self.family("conv");
        let [x, weight] = [using.inst.operands[0], using.inst.operands[1]];
        let names = [
            "height",
            "width",
            "kernel_height",
            "kernel_width",
            "stride_y",
            "stride_x",
            "padding_y",
            "padding_x",
            "dilation_y",
            "dilation_x",
        ];
        let plan = self.name("plan");
        self.line(format!("const conv2d {plan} = conv2d_plan((conv2d){{"));
        self.line(format!("    .channels = {},", image.channels));
        let fields: Vec<String> =
            names.iter().zip(image.window()).map(|(name, value)| format!(".{name} = {value},")).collect();
        fields.chunks(2).for_each(|pair| self.line(format!("    {}", pair.join(" "))));
        self.line("});");
        let offsets = self.scratch("int32_t", "offsets", &Dim::constant(4 * image.depth()));
        let band = match image.band_floats() {
            0 => "NULL".to_string(),
            floats => self.scratch("float", "band", &Dim::constant(4 * floats)),
        };
        self.line(format!("conv2d_offsets(&{plan}, {offsets});"));
        let batch = self.loops(&shape[..1]);
        let group = self.separate_loops(&[Dim::constant(image.groups)]);
        let depth = self.depth();
        self.open("");
        let top = self.name("top");
        self.take_head(format!("for (int64_t {top} = 0; {top} < {plan}.out_height; {top} += {plan}.band_rows)"));
        let plane = Dim::constant(image.channels * image.size[0] * image.size[1]);
        let index = batch.at[0].scale(image.groups).add(&group.at[0]);
        let from = self.pointer_to(x, &index.mul(&plane));
        let source = self.name("image");
        self.line(format!("const float *const {source} = conv2d_band(&{plan}, {from}, {top}, {band});"));
        self.shared_loop();
        self.open("");
        let block = self.name("block");
        self.take_head(format!("for (int64_t {block} = 0; {block} < conv2d_blocks(&{plan}, {top}); {block}++)"));
        let part = self.name("part");
        self.line(format!("const conv2d_block {part} = conv2d_block_at(&{plan}, {top}, {block});"));
        let places = count(&shape[2..]);
        let start = self.index_variable("start", C::atom(format!("{part}.position")), &places);
        let width = self.index_variable("columns", C::atom(format!("{part}.count")), &Dim::constant(COLUMNS + 1));
        let (first, rows, most) = self.row_blocks(&Dim::constant(image.outputs), FLOAT_ROWS, false);
        let sum = self.name("sum");
        self.line(format!("float {sum}[{most}][{COLUMNS}];"));
        let output = group.at[0].scale(image.outputs).add(&first);
        let factors = self.weight_at(weight, &output.scale(image.depth()));
        let count = self.index(&rows).text();
        self.line(format!("conv2d_tile(&{plan}, {offsets}, {source}, {part}, {factors}, {count}, {sum});"));
        let row = self.separate_loops(std::slice::from_ref(&rows));
        let column = self.separate_loops(std::slice::from_ref(&width));
        let output = output.add(&row.at[0]);
        let place = start.add(&column.at[0]);
        let at = self.output_at(&batch.at[0], &output, &place, shape);
        self.finish_output(using, (&sum, &row.at[0], &column.at[0]), &at, results)?;
        while self.depth() > depth {
            self.close();
        }
        self.close_loops(group);
        self.close_loops(batch);
        Ok(())
    }

    fn depthwise(&mut self, using: Use<'a>, image: &Image, shape: &[Dim], results: &[usize]) -> Outcome<()> {
        self.family("depthwise");
        let [x, weight] = [using.inst.operands[0], using.inst.operands[1]];
        let window = self.name("window");
        let values: Vec<String> = image.window().iter().map(i64::to_string).collect();
        self.line(format!("static const depthwise {window} = {{{}}};", values.join(", ")));
        let batch = self.loops(&shape[..1]);
        self.shared_loop();
        let channel = self.separate_loops(&shape[1..2]);
        let depth = self.depth();
        let (first, rows, most) = self.row_blocks(&Dim::constant(image.out[0]), FLOAT_ROWS, false);
        let (block, width) = self.blocks(&Dim::constant(image.out[1]), false);
        let sum = self.name("sum");
        self.line(format!("float {sum}[{most}][{COLUMNS}];"));
        let output = channel.at[0].clone();
        let source = self.ranges.divide(&output, &Dim::constant(image.outputs));
        let plane = batch.at[0].scale(image.groups).add(&source).scale(image.size[0] * image.size[1]);
        let from = self.pointer_to(x, &plane);
        let factors = self.weight_at(weight, &output.scale(image.depth()));
        let [row, count, left, columns] =
            [&first, &rows, &block.scale(COLUMNS), &width].map(|dim| self.index(dim).text());
        self.line(format!("depthwise_tile(&{window}, {from}, {factors}, {row}, {count}, {left}, {columns}, {sum});"));
        let row = self.separate_loops(std::slice::from_ref(&rows));
        let column = self.separate_loops(std::slice::from_ref(&width));
        let (y, x) = (first.add(&row.at[0]), block.scale(COLUMNS).add(&column.at[0]));
        let mut at = vec![batch.at[0].clone(), output, y, x];
        if shape.len() == 3 {
            at.remove(2);
        }
        self.finish_output(using, (&sum, &row.at[0], &column.at[0]), &at, results)?;
        while self.depth() > depth {
            self.close();
        }
        self.close_loops(channel);
        self.close_loops(batch);
        Ok(())
    }

    /// The number that is added to each channel, and what follows the convolution.
    fn finish_output(
        &mut self,
        using: Use<'a>,
        (sum, row, column): (&str, &Dim, &Dim),
        at: &[Dim],
        results: &[usize],
    ) -> Outcome<()> {
        let (i, j) = (self.index(row).text(), self.index(column));
        let mut value = C::index(&format!("{sum}[{i}]"), j);
        if let Some(bias) = using.inst.operands.get(2) {
            value = C::binary(value, "+", self.element(*bias, &at[1..2])?);
        }
        self.finish_tile(using, value, at, results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(channels: i64, size: [i64; 2], kernel: i64, stride: i64, padding: i64) -> Image {
        let out = size.map(|size| (size + 2 * padding - kernel) / stride + 1);
        let [kernel, stride, padding] = [kernel, stride, padding].map(|value| [value; 2]);
        Image { channels, outputs: 8, groups: 1, size, kernel, stride, padding, dilation: [1, 1], out }
    }

    #[test]
    fn bands_take_what_the_tiles_say() {
        // Read as it lies; padded rows; a 1 x 1 kernel over too few places; two phases each way.
        assert_eq!(image(3, [28, 28], 5, 1, 0).band_floats(), 0);
        assert_eq!(image(1, [28, 28], 5, 1, 2).band_floats(), 30 * (28 + 4) + 64 + 2);
        assert_eq!(image(4, [3, 3], 1, 1, 0).band_floats(), 4 * 9 + 64);
        assert_eq!(image(3, [224, 224], 3, 2, 1).band_floats(), 3 * 113 * (47 + 1) * 4 + 64 + 1);
    }
}
