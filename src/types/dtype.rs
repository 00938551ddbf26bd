//! Element types of tensors.

use crate::types::dim::Symbol;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    Bool,
    /// Ternary storage: -1, 0 or 1.
    Trit,
    /// Four-bit storage: -8 to 7 (or 0 to 15 for asymmetric codes).
    Int4,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float16,
    BFloat16,
    Float32,
    Float64,
}

impl DType {
    pub const ALL: [DType; 15] = [
        DType::Bool,
        DType::Trit,
        DType::Int4,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::UInt8,
        DType::UInt16,
        DType::UInt32,
        DType::UInt64,
        DType::Float16,
        DType::BFloat16,
        DType::Float32,
        DType::Float64,
    ];

    /// The name in Tri.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::Trit => "trit",
            DType::Int4 => "int4",
            DType::Int8 => "int8",
            DType::Int16 => "int16",
            DType::Int32 => "int32",
            DType::Int64 => "int64",
            DType::UInt8 => "uint8",
            DType::UInt16 => "uint16",
            DType::UInt32 => "uint32",
            DType::UInt64 => "uint64",
            DType::Float16 => "float16",
            DType::BFloat16 => "bfloat16",
            DType::Float32 => "float32",
            DType::Float64 => "float64",
        }
    }

    pub fn parse(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    pub fn is_float(self) -> bool {
        matches!(self, DType::Float16 | DType::BFloat16 | DType::Float32 | DType::Float64)
    }

    /// An integer type with arithmetic (so not `bool`, and not the storage types `trit` and `int4`).
    pub fn is_int(self) -> bool {
        !self.is_float() && !self.is_storage() && self != DType::Bool
    }

    /// `trit` and `int4`: stored and converted, without arithmetic of their own.
    pub fn is_storage(self) -> bool {
        matches!(self, DType::Trit | DType::Int4)
    }

    pub fn is_unsigned(self) -> bool {
        matches!(self, DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64)
    }

    /// Bits of one element, unpacked types as they lie in memory.
    pub fn bits(self) -> u32 {
        match self {
            DType::Trit => 2,
            DType::Int4 => 4,
            DType::Bool | DType::Int8 | DType::UInt8 => 8,
            DType::Int16 | DType::UInt16 | DType::Float16 | DType::BFloat16 => 16,
            DType::Int32 | DType::UInt32 | DType::Float32 => 32,
            DType::Int64 | DType::UInt64 | DType::Float64 => 64,
        }
    }

    /// Inclusive range of an integer, storage or bool type.
    pub fn int_range(self) -> Option<(i128, i128)> {
        Some(match self {
            DType::Bool => (0, 1),
            DType::Trit => (-1, 1),
            DType::Int4 => (-8, 7),
            _ if self.is_float() => return None,
            _ if self.is_unsigned() => (0, (1 << self.bits()) - 1),
            _ => (-(1 << (self.bits() - 1)), (1 << (self.bits() - 1)) - 1),
        })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a type variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    Any,
    Num,
    Int,
    Float,
}

impl Bound {
    pub fn parse(name: &str) -> Option<Bound> {
        Some(match name {
            "any" => Bound::Any,
            "num" => Bound::Num,
            "int" => Bound::Int,
            "float" => Bound::Float,
            _ => return None,
        })
    }

    pub fn admits(self, dtype: DType) -> bool {
        match self {
            Bound::Any => true,
            Bound::Num => dtype.is_float() || dtype.is_int(),
            Bound::Int => dtype.is_int(),
            Bound::Float => dtype.is_float(),
        }
    }

    /// Whether everything `other` admits is admitted here.
    pub fn includes(self, other: Bound) -> bool {
        DType::ALL.into_iter().all(|d| !other.admits(d) || self.admits(d))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Any => "any",
            Bound::Num => "num",
            Bound::Int => "int",
            Bound::Float => "float",
        })
    }
}

/// The element type of a tensor type: known, or a type variable of the signature being checked.
/// IR holds known ones only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Elem {
    Known(DType),
    Var(Symbol, Bound),
}

impl Elem {
    pub fn known(&self) -> Option<DType> {
        match self {
            Elem::Known(dtype) => Some(*dtype),
            Elem::Var(..) => None,
        }
    }

    /// Certainly a float, whatever a variable stands for.
    pub fn is_float(&self) -> bool {
        match self {
            Elem::Known(dtype) => dtype.is_float(),
            Elem::Var(_, bound) => Bound::Float.includes(*bound),
        }
    }

    pub fn is_int(&self) -> bool {
        match self {
            Elem::Known(dtype) => dtype.is_int(),
            Elem::Var(_, bound) => Bound::Int.includes(*bound),
        }
    }

    /// Certainly has arithmetic.
    pub fn is_num(&self) -> bool {
        match self {
            Elem::Known(dtype) => dtype.is_float() || dtype.is_int(),
            Elem::Var(_, bound) => Bound::Num.includes(*bound),
        }
    }

    pub fn is(&self, dtype: DType) -> bool {
        *self == Elem::Known(dtype)
    }
}

impl From<DType> for Elem {
    fn from(dtype: DType) -> Self {
        Elem::Known(dtype)
    }
}

impl fmt::Display for Elem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Elem::Known(dtype) => dtype.fmt(f),
            Elem::Var(name, _) => name.fmt(f),
        }
    }
}
