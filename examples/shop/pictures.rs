//! A picture for each listing: a shape for its sort of goods, in one of twelve colors.

/// The SVG of `/static/picture/KIND/TONE.svg`; `None` for a kind that is not sold here.
pub(crate) fn picture(kind: &str, tone: u16) -> Option<String> {
    let shape = match kind {
        "ceramics" => {
            "<path d='M80 60h80l-8 62a20 20 0 0 1-20 16h-24a20 20 0 0 1-20-16z'/>\
             <path d='M158 76h14a16 16 0 0 1 0 34h-18' fill='none' stroke-width='8'/>"
        }
        "jewelry" => {
            "<circle cx='120' cy='104' r='38' fill='none' stroke-width='10'/>\
             <path d='M120 36l16 16-16 18-16-18z'/>"
        }
        "knitwear" => {
            "<path d='M78 50h84v20H78zM86 70h24v78H86zM130 70h24v58h-24z'/>\
             <path d='M86 86h24M86 102h24M86 118h24M130 86h24M130 102h24' stroke-width='3' fill='none'/>"
        }
        "woodwork" => {
            "<rect x='72' y='62' width='96' height='70' rx='8'/>\
             <path d='M84 78q36 12 72 0M84 96q36 12 72 0M84 114q36 12 72 0' fill='none' stroke-width='3'/>"
        }
        "paper goods" => {
            "<path d='M84 40h58l20 20v80H84z'/>\
             <path d='M98 76h48M98 92h48M98 108h30' fill='none' stroke-width='4'/>"
        }
        "candles" => {
            "<rect x='98' y='76' width='44' height='66' rx='4'/>\
             <path d='M120 34q16 20 0 34q-16-14 0-34z'/>\
             <path d='M120 66v12' fill='none' stroke-width='3'/>"
        }
        "leather" => {
            "<rect x='74' y='74' width='92' height='64' rx='8'/>\
             <path d='M96 74V62a24 24 0 0 1 48 0v12M82 84h76' fill='none' stroke-width='5' stroke-dasharray='8 5'/>"
        }
        "toys" => {
            "<circle cx='100' cy='92' r='34'/>\
             <circle cx='136' cy='70' r='20'/>\
             <path d='M154 66l16 4-16 8z'/>\
             <circle cx='140' cy='66' r='3' fill='#fff'/>"
        }
        _ => return None,
    };
    let hue = tone % 12 * 30;
    Some(format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 240 180'>\
         <rect width='240' height='180' fill='hsl({hue} 38% 86%)'/>\
         <ellipse cx='120' cy='150' rx='62' ry='8' fill='hsl({hue} 30% 74%)'/>\
         <g fill='hsl({hue} 42% 48%)' stroke='hsl({hue} 45% 34%)' stroke-linejoin='round'>{shape}</g></svg>"
    ))
}
