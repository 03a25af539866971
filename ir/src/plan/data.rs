//! What is read, how it is split, and how rows become the inputs of a program.

use serde::{Deserialize, Serialize};

use crate::graph::LengthId;

/// The letters a sequence column is made of. They never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    Dna,
    Rna,
    Protein,
    Text,
    /// Aligned protein sequences, separated by `|`: the query, then the rows that were found for it.
    Alignment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    Csv,
    Tsv,
    Parquet,
    /// Columns `id` (the first word of the header), `description` (the rest) and `sequence`.
    Fasta,
    /// A folder of files `.ct`, `.bpseq` and `.st`: columns `name`, `part` (the folder below this one), `sequence` and `pairs`.
    Structures,
}

/// Is an empty sequence (or a missing value in a sequence column) an error?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyPolicy {
    Error,
    Allow,
}

/// The type of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ColumnKind {
    /// `length`: every sequence has exactly this many letters. Letters of DNA: ACGTN and the IUPAC codes RYSWKMBDHV, either case; RNA: the same with U
    /// for T; protein: the 20 letters and BJOUXZ, `*`, `-` and `.`; text: anything.
    Sequence { alphabet: Alphabet, length: Option<u64>, empty: EmptyPolicy },
    /// Aligned proteins, the query first: their rows with `|` between them, or the path of a file of them, relative to the table's folder.
    Alignment { files: Option<AlignmentFormat>, structure: Option<StructureSpec>, empty: EmptyPolicy },
    /// One of these names; its number is its place in the list.
    Class { names: Vec<String> },
    /// A finite number.
    Real,
    /// So many finite numbers: in as many columns (`headers`), or a list of them in one column where there are none.
    Reals { count: u64, headers: Vec<String> },
    /// Which of these labels hold, a 0 or a 1 for each: in as many columns (`headers`), or a list in one column where there are none.
    Labels { names: Vec<String>, headers: Vec<String> },
    /// One of these names for each letter of the sequence column `each`, or none.
    TokenClass { names: Vec<String>, each: String },
    /// Which pairs of letters of the sequence column `each` are in contact.
    Contacts { each: String },
    /// Carried along, never looked at (identifiers).
    Text,
    /// How often each gene was counted in a cell, and in its neighbours where they belong to the sample.
    Counts { source: CountSource, neighbors: Option<NeighborSpec> },
}

/// How a file has an alignment. In A3M lower-case letters are residues that the query has no column for; in aligned FASTA all rows are equally long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlignmentFormat {
    A3m,
    Fasta,
}

/// Numbers that are known of every residue of an alignment's query, `features` of each; `header` names their column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StructureSpec {
    pub header: String,
    pub features: u64,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name in the program.
    pub name: String,
    /// Its name in the file.
    pub header: String,
    pub kind: ColumnKind,
    /// How it is made of the column of the file, where it is not that itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
}

/// Sequences that are made of those of a file, as it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversion {
    /// What the file holds, and the length that it promises.
    pub from: Alphabet,
    pub length: Option<u64>,
    /// One after another.
    pub steps: Vec<ConversionStep>,
}

/// What is made of a sequence of DNA or RNA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversionStep {
    /// The other strand, read in its own direction.
    ReverseComplement,
    /// RNA, of the coding strand of DNA.
    Transcribe,
    /// Protein, by the standard genetic code; `drop_partial` leaves out letters after the last codon.
    Translate { stop: StopPolicy, drop_partial: bool },
}

impl ConversionStep {
    /// The alphabet of what is made.
    pub fn result(self, of: Alphabet) -> Alphabet {
        match self {
            Self::ReverseComplement => of,
            Self::Transcribe => Alphabet::Rna,
            Self::Translate { .. } => Alphabet::Protein,
        }
    }
}

/// What a stop codon before the end of a sequence is. One at the very end is left out, unless stops are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopPolicy {
    Error,
    /// The end of the protein.
    End,
    /// The letter `*`.
    Keep,
}

/// Generators of random splits. `Mgx` is specified in `docs/data.md` and fixed for good; `Numpy` gives what scikit-learn-like code with
/// NumPy's PCG64 `permutation` gives (the reference's splits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    Mgx,
    Numpy,
}

/// How rows are divided into train, valid and test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SplitSpec {
    /// Fractions sum to at most 1; what is left over is not used. `stratify`: the classes of this column keep their shares.
    /// `group`: rows with equal text in this column stay together.
    Random { train: f64, valid: f64, test: f64, seed: u64, stratify: Option<String>, group: Option<String>, like: Generator },
    /// The named column holds `train`, `valid` (or `validation`) or `test`.
    Column { header: String },
    /// The parts are those of one fold of several.
    Folds(FoldSpec),
    /// Every row is in every stage that reads the table (prediction on a whole file).
    None,
}

impl SplitSpec {
    /// The header of the column of the file that says where each row belongs.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Column { header } => Some(header),
            Self::Folds(spec) => spec.column.as_deref(),
            Self::Random { .. } | Self::None => None,
        }
    }
}

impl SplitSpec {
    /// The names of the columns by whose values rows are divided.
    pub fn columns(&self) -> impl Iterator<Item = &String> {
        let (stratify, group) = match self {
            Self::Random { stratify, group, .. } => (stratify.as_ref(), group.as_ref()),
            Self::Folds(spec) => (spec.stratify.as_ref(), spec.group.as_ref()),
            Self::Column { .. } | Self::None => (None, None),
        };
        stratify.into_iter().chain(group)
    }
}

/// Cross-validation, and which of its runs this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldSpec {
    /// How many folds.
    pub count: u64,
    /// The fold that is tested, from 0.
    pub fold: u64,
    pub seed: u64,
    /// The header of the column with each row's fold, from 0; without one rows are divided at random.
    pub column: Option<String>,
    /// The classes of this column keep their shares.
    pub stratify: Option<String>,
    /// Rows with equal values in this column stay together.
    pub group: Option<String>,
    pub like: Generator,
    pub valid: FoldValid,
}

/// What is evaluated in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FoldValid {
    /// The fold so far after the tested one, around the end.
    Fold {
        offset: i64,
    },
    /// The tested fold itself.
    Test,
    None,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    pub name: String,
    /// Relative to the folder of the experiment's file, or absolute.
    pub path: String,
    pub format: FileFormat,
    pub columns: Vec<ColumnSpec>,
    pub split: SplitSpec,
    /// The table has variants of a genome: columns of sequences around them are made.
    #[serde(default)]
    pub windows: Option<WindowSpec>,
    /// Of a folder of structures: only those of so many letters are read, from the first number to the second.
    #[serde(default)]
    pub letters: Option<[u64; 2]>,
}

/// Windows of a genome around the variants of a table. The columns of the table are named by their headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSpec {
    /// A FASTA file with a record for each chromosome; relative to the folder of the experiment's file, or absolute.
    pub genome: String,
    /// Letters on either side of the variant.
    pub letters: u64,
    pub chromosome: String,
    /// Where the variant begins and ends, letters counted from 0; the end is the first letter after it.
    pub start: String,
    pub end: String,
    /// The letter of the genome, on either strand, and what it becomes.
    pub reference: String,
    pub mutated: String,
    /// Variants whose letter is on neither strand of the genome are taken as they are, instead of refused.
    pub keep_mismatches: bool,
}

impl WindowSpec {
    /// Names of the columns that are made: the window with the reference's letter, with the mutated one, and with a mask.
    pub const MADE: [&str; 3] = ["reference", "mutated", "masked"];

    /// Headers of the columns that windows are made from.
    pub fn headers(&self) -> [&String; 5] {
        [&self.chromosome, &self.start, &self.end, &self.reference, &self.mutated]
    }
}

/// Where counts by gene stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CountSource {
    /// In one column of the table for each of these genes; of equal headers the first counts.
    Wide { genes: Vec<String> },
    /// In a file of triples (these three headers), found by the cell's name in the table's column. What has no triple is zero.
    Long { path: String, format: FileFormat, cell: String, gene: String, count: String },
}

/// The cells nearest to a cell of the same table, by the coordinates in two columns (headers).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborSpec {
    pub count: u64,
    pub x: String,
    pub y: String,
}

/// What an unknown character becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unknown {
    /// Every maximal run of unknown characters (white space ends a run) becomes one token with this id.
    Run { id: i32 },
    /// Every unknown character becomes this id.
    Each { id: i32 },
    /// An error that names row and character.
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Casing {
    Keep,
    Upper,
    Lower,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TokenizerKind {
    /// Longest match of the vocabulary's entries at each place; white space is dropped. A `separator` that stands alone in what no entry
    /// matches is a token of its own.
    Greedy { unknown: Unknown, separator: Option<(char, i32)> },
    /// BERT's: split at white space and punctuation, then greedy longest-match pieces with `##` inside words; a word that cannot
    /// be pieced is one unknown token. Words longer than 100 characters are unknown.
    WordPiece { unknown: i32 },
    /// What the text of a `tokenizer.json` defines, run by Hugging Face's library: normalisation, pieces, special tokens in the text. Its truncation and
    /// padding do not count, nor the tokens that it puts around a text: those are `prefix` and `suffix`.
    Library { definition: String },
    /// Counts of genes. The vocabulary is the list of genes; `names`, where there are any, are other names of its entries, in its order
    /// (empty: none). `normalized`: the network was made for expression that is normalised already, not for counts.
    Genes { order: GeneOrder, names: Vec<String>, normalized: bool },
}

/// Which genes of a cell become tokens, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum GeneOrder {
    /// Every gene of the list, in its order.
    All,
    /// The genes with a count above zero, in the order of the list. `appended` tokens follow each cell, numbered on from the list, if the
    /// cell's total is above `appended_above`. The sample is filled to a multiple of `multiple` with tokens of the next number. `bf16`:
    /// counts and totals are rounded to bfloat16. `total`: what the table names so is the total of a cell, instead of the sum of its counts.
    Expressed { appended: u32, appended_above: f64, multiple: u32, bf16: bool, total: Option<String> },
    /// The genes with a count above zero by falling `count / total / scale[gene]` (equal ones in the order of the list), between prefix and
    /// suffix.
    Ranked { scale: Vec<f64> },
}

/// How text becomes token ids. The layout is `prefix`, the text's tokens, `suffix`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerSpec {
    pub name: String,
    pub kind: TokenizerKind,
    pub casing: Casing,
    /// Characters replaced before tokenising, after the change of case: (`T`, `U`) for RNA models that know no T.
    pub replace: Vec<(char, char)>,
    /// Tokens by id.
    pub vocabulary: Vec<String>,
    /// Ids of entries that stand for themselves in text and are never split or re-cased (`[MASK]`).
    pub special: Vec<i32>,
    pub prefix: Vec<i32>,
    pub suffix: Vec<i32>,
}

/// What to do with a sequence longer than `max_length` tokens (prefix and suffix counted).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthPolicy {
    /// Keep the first tokens that fit; the suffix stays.
    Truncate,
    /// Keep those in the middle that fit, prefix and suffix stay: of an odd number that is too many, one more is left out at the end.
    Window,
    Error,
}

/// A length each sample brings: the number of tokens of a column under a tokenizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LengthSpec {
    pub name: String,
    /// Index in `Plan::data`.
    pub data: u32,
    pub column: String,
    /// Index in `Plan::tokenizers`.
    pub tokenizer: u32,
    pub max_length: Option<u64>,
    pub policy: LengthPolicy,
    /// Of a column of counts: only the tokens of the row's own cell are counted, not those of its neighbours. Of an alignment: only those of the query, with the prefix.
    #[serde(default)]
    pub own_cell: bool,
}

/// A per-sample input of the programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    pub name: String,
    pub source: InputSource,
}

/// A number of a cell in a sample of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellNumber {
    /// 0 for the cell of the row, then its neighbours from the nearest.
    Index,
    X,
    Y,
}

/// Where a token of an alignment stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlignedPlace {
    /// The column, gaps counted, from 0.
    Column,
    /// 0 for the query, then its rows.
    Row,
}

/// The positions of an axis that follows the tokens of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRange {
    /// The length that counts the tokens; without one they are `tokens` for all rows.
    pub length: Option<LengthId>,
    pub tokens: u64,
    /// Special tokens that the axis leaves out.
    pub cut: u64,
    /// Special tokens at the beginning and at the end of the axis.
    pub before: u64,
    pub after: u64,
}

impl TokenRange {
    /// The number of positions of a sample with these lengths.
    pub fn positions(&self, lengths: &[u64]) -> u64 {
        let tokens = self.length.map_or(self.tokens, |length| lengths.get(length.0 as usize).copied().unwrap_or(0));
        tokens.saturating_sub(self.cut)
    }
}

/// Which tokens of a row are hidden from a network, anew whenever the row is used in training, and always the same ones elsewhere. Of `n` tokens that may be
/// chosen `max(1, floor(rate · n))` are, at random; tokens that the tokenizer added or that are special are never chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskSpec {
    pub seed: u64,
    pub rate: f64,
    /// The share of those chosen that stay as they are.
    pub keep: f64,
    /// The share of those chosen that become a random token, of all that are not special.
    pub random: f64,
    /// Noise: instead of `rate` a share is drawn between 0.001 and 1, of the `c`-th of so many copies of a row (training uses as many) in the `c`-th of as many equal
    /// parts of that range.
    #[serde(default)]
    pub copies: Option<u64>,
    /// What the others become.
    pub mask: i32,
    /// Tokens that are never chosen, nor taken for a random one.
    pub special: Vec<i32>,
    /// Number of entries of the vocabulary.
    pub vocabulary: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InputSource {
    /// The token ids of this length's column: I32.
    Tokens { length: LengthId },
    /// The token ids of a column whose token count is the same for all rows.
    FixedTokens { data: u32, column: String, tokenizer: u32, tokens: u64 },
    /// The token ids of another column along the tokens of this length, by the same tokenizer; both have as many in every row: I32.
    TokensAlong { length: LengthId, column: String },
    /// The tokens of an input of token ids, some of them masked: I32.
    Masked { of: Box<InputSource>, masking: MaskSpec },
    /// For each token of an input of token ids whether it was chosen when that was masked: I32, 0 or 1.
    Chosen { of: Box<InputSource>, masking: MaskSpec },
    /// For each token of an input of token ids whether it is the mask, and is not filled in yet: I32, 0 or 1.
    Hidden { of: Box<InputSource>, mask: i32 },
    /// The share of a row's tokens that was drawn when an input of token ids was masked by noise: F32, no axes.
    NoiseLevel { of: Box<InputSource>, masking: MaskSpec },
    /// The counts of all genes of a tokenizer's list, as many as `genes`: F32.
    AllCounts { data: u32, column: String, tokenizer: u32, genes: u64 },
    /// For each token of this length its count (0 for tokens that are no genes): F32.
    TokenCounts { length: LengthId },
    /// For each token of this length the total of its cell (0 for tokens that belong to none): F32.
    TokenTotals { length: LengthId },
    /// For each token of this length something of the cell that it belongs to: I32. `fill` stands at tokens that belong to none.
    TokenCells { length: LengthId, what: CellNumber, fill: i32 },
    /// For each token of this length its place in the alignment: I32.
    TokenPlaces { length: LengthId, what: AlignedPlace },
    /// For each token of this length, those of a query, the numbers that are known of its residue (0 for other tokens): F32, `features` of each.
    TokenStructures { length: LengthId, features: u64 },
    /// The class number of a class column: I32, no axes.
    Class { data: u32, column: String },
    /// The number in a real column: F32, no axes.
    Real { data: u32, column: String },
    /// For each position of a range of tokens the class number of its letter, -1 where it has none: I32.
    TokenLabels { data: u32, column: String, range: TokenRange },
    /// For each two positions of a range of tokens (row after row) 1 where their letters are in contact, 0 where not, -1 where one is a special token: I32.
    PairLabels { data: u32, column: String, range: TokenRange },
    /// The numbers of a column of several numbers or labels, as many as `width`: F32.
    Numbers { data: u32, column: String, width: u64 },
}

impl ColumnKind {
    /// Is it what a task compares with? Prediction does not read it.
    pub fn is_label(&self) -> bool {
        match self {
            Self::Class { .. }
            | Self::Real
            | Self::Reals { .. }
            | Self::Labels { .. }
            | Self::TokenClass { .. }
            | Self::Contacts { .. } => true,
            Self::Sequence { .. } | Self::Alignment { .. } | Self::Text | Self::Counts { .. } => false,
        }
    }
}

/// How a mask is written in vocabularies and in sequences.
pub const MASKS: [&str; 2] = ["[MASK]", "<mask>"];

impl TokenizerSpec {
    /// The id of the token that stands for what is hidden.
    pub fn mask(&self) -> Option<i32> {
        MASKS.iter().find_map(|mask| self.vocabulary.iter().position(|token| token == mask)).map(|id| id as i32)
    }

    /// The tokens that stand for no letter: those that are added to texts, those declared special, and those in brackets.
    pub fn special_tokens(&self) -> Vec<i32> {
        let in_brackets = |token: &str| {
            token.len() > 2 && matches!((token.as_bytes()[0], token.as_bytes()[token.len() - 1]), (b'[', b']') | (b'<', b'>'))
        };
        let by_name = self.vocabulary.iter().zip(0..).filter(|(token, _)| in_brackets(token)).map(|(_, id)| id);
        let mut ids: Vec<i32> = by_name.chain([&self.special, &self.prefix, &self.suffix].into_iter().flatten().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl ColumnSpec {
    /// The headers that it reads besides those of genes: its own, and what it names.
    pub fn headers(&self) -> Vec<&String> {
        match &self.kind {
            ColumnKind::Counts { source, neighbors } => {
                let id = matches!(source, CountSource::Long { .. }).then_some(&self.header);
                id.into_iter().chain(neighbors.iter().flat_map(|spec| [&spec.x, &spec.y])).collect()
            }
            ColumnKind::Alignment { structure, .. } => {
                std::iter::once(&self.header).chain(structure.iter().map(|spec| &spec.header)).collect()
            }
            ColumnKind::Reals { headers, .. } | ColumnKind::Labels { headers, .. } if !headers.is_empty() => headers.iter().collect(),
            _ => vec![&self.header],
        }
    }

    /// The names of the values of a column of several: of the labels, or the headers, or numbers from 0.
    pub fn value_names(&self) -> Vec<String> {
        match &self.kind {
            ColumnKind::Labels { names, .. } => names.clone(),
            ColumnKind::Reals { headers, .. } if !headers.is_empty() => headers.clone(),
            ColumnKind::Reals { count, .. } => (0..*count).map(|number| number.to_string()).collect(),
            _ => Vec::new(),
        }
    }
}

impl InputSource {
    /// Elements that a sample with these lengths has of it.
    pub fn elements(&self, lengths: &[u64]) -> u64 {
        let tokens = |length: &LengthId| lengths.get(length.0 as usize).copied().unwrap_or(0);
        match self {
            Self::Masked { of, .. } | Self::Chosen { of, .. } | Self::Hidden { of, .. } => of.elements(lengths),
            Self::Tokens { length }
            | Self::TokensAlong { length, .. }
            | Self::TokenCounts { length }
            | Self::TokenTotals { length }
            | Self::TokenPlaces { length, .. }
            | Self::TokenCells { length, .. } => tokens(length),
            Self::TokenStructures { length, features } => tokens(length) * features,
            Self::FixedTokens { tokens: elements, .. } | Self::AllCounts { genes: elements, .. } => *elements,
            Self::TokenLabels { range, .. } => range.positions(lengths),
            Self::PairLabels { range, .. } => range.positions(lengths).pow(2),
            Self::Numbers { width, .. } => *width,
            Self::Class { .. } | Self::Real { .. } | Self::NoiseLevel { .. } => 1,
        }
    }

    /// The column that it names, if it does not follow from a length.
    pub fn column(&self) -> Option<&String> {
        match self {
            Self::Masked { of, .. } | Self::Chosen { of, .. } | Self::Hidden { of, .. } | Self::NoiseLevel { of, .. } => of.column(),
            Self::TokensAlong { column, .. }
            | Self::FixedTokens { column, .. }
            | Self::AllCounts { column, .. }
            | Self::Class { column, .. }
            | Self::Real { column, .. }
            | Self::TokenLabels { column, .. }
            | Self::PairLabels { column, .. }
            | Self::Numbers { column, .. } => Some(column),
            Self::Tokens { .. }
            | Self::TokenCounts { .. }
            | Self::TokenTotals { .. }
            | Self::TokenCells { .. }
            | Self::TokenPlaces { .. }
            | Self::TokenStructures { .. } => None,
        }
    }

    /// The table that it reads, where it does not follow from a length.
    pub fn data(&self) -> Option<u32> {
        match self {
            Self::Masked { of, .. } | Self::Chosen { of, .. } | Self::Hidden { of, .. } | Self::NoiseLevel { of, .. } => of.data(),
            Self::Tokens { .. }
            | Self::TokensAlong { .. }
            | Self::TokenPlaces { .. }
            | Self::TokenCounts { .. }
            | Self::TokenTotals { .. }
            | Self::TokenStructures { .. }
            | Self::TokenCells { .. } => None,
            Self::FixedTokens { data, .. }
            | Self::AllCounts { data, .. }
            | Self::Class { data, .. }
            | Self::Real { data, .. }
            | Self::TokenLabels { data, .. }
            | Self::PairLabels { data, .. }
            | Self::Numbers { data, .. } => Some(*data),
        }
    }
}
