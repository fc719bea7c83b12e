"""Countries and their capitals.

One line per country:  name | capital | other names of the country | other accepted answers.
A name that takes "the" is written with it. Where the seat of government is split or disputed, the city that is
taught stands first and the others are accepted by the evaluation.
"""

_LINES = """
Afghanistan|Kabul
Albania|Tirana
Algeria|Algiers
Andorra|Andorra la Vella
Angola|Luanda
Antigua and Barbuda|Saint John's||St. John's, St John's
Argentina|Buenos Aires
Armenia|Yerevan
Australia|Canberra
Austria|Vienna
Azerbaijan|Baku
the Bahamas|Nassau|Bahamas
Bahrain|Manama
Bangladesh|Dhaka
Barbados|Bridgetown
Belarus|Minsk
Belgium|Brussels
Belize|Belmopan
Benin|Porto-Novo
Bhutan|Thimphu
Bolivia|Sucre||La Paz
Bosnia and Herzegovina|Sarajevo|Bosnia
Botswana|Gaborone
Brazil|Brasília||Brasilia
Brunei|Bandar Seri Begawan
Bulgaria|Sofia
Burkina Faso|Ouagadougou
Burundi|Gitega
Cambodia|Phnom Penh
Cameroon|Yaoundé||Yaounde
Canada|Ottawa
Cape Verde|Praia|Cabo Verde
the Central African Republic|Bangui|Central African Republic
Chad|N'Djamena
Chile|Santiago
China|Beijing
Colombia|Bogotá||Bogota
the Comoros|Moroni|Comoros
Costa Rica|San José||San Jose
Croatia|Zagreb
Cuba|Havana
Cyprus|Nicosia
Czechia|Prague|the Czech Republic
the Democratic Republic of the Congo|Kinshasa|DR Congo
Denmark|Copenhagen
Djibouti|Djibouti
Dominica|Roseau
the Dominican Republic|Santo Domingo|Dominican Republic
East Timor|Dili|Timor-Leste
Ecuador|Quito
Egypt|Cairo
El Salvador|San Salvador
Equatorial Guinea|Malabo||Ciudad de la Paz
Eritrea|Asmara
Estonia|Tallinn
Eswatini|Mbabane|Swaziland|Lobamba
Ethiopia|Addis Ababa
Fiji|Suva
Finland|Helsinki
France|Paris
Gabon|Libreville
the Gambia|Banjul|Gambia
Georgia|Tbilisi
Germany|Berlin
Ghana|Accra
Greece|Athens
Grenada|Saint George's||St. George's, St George's
Guatemala|Guatemala City
Guinea|Conakry
Guinea-Bissau|Bissau
Guyana|Georgetown
Haiti|Port-au-Prince
Honduras|Tegucigalpa
Hungary|Budapest
Iceland|Reykjavík||Reykjavik
India|New Delhi
Indonesia|Jakarta
Iran|Tehran
Iraq|Baghdad
Ireland|Dublin
Israel|Jerusalem||Tel Aviv
Italy|Rome
Ivory Coast|Yamoussoukro|Côte d'Ivoire
Jamaica|Kingston
Japan|Tokyo
Jordan|Amman
Kazakhstan|Astana
Kenya|Nairobi
Kiribati|South Tarawa||Tarawa
Kosovo|Pristina
Kuwait|Kuwait City
Kyrgyzstan|Bishkek
Laos|Vientiane
Latvia|Riga
Lebanon|Beirut
Lesotho|Maseru
Liberia|Monrovia
Libya|Tripoli
Liechtenstein|Vaduz
Lithuania|Vilnius
Luxembourg|Luxembourg
Madagascar|Antananarivo
Malawi|Lilongwe
Malaysia|Kuala Lumpur
the Maldives|Malé|Maldives|Male
Mali|Bamako
Malta|Valletta
the Marshall Islands|Majuro|Marshall Islands
Mauritania|Nouakchott
Mauritius|Port Louis
Mexico|Mexico City
Micronesia|Palikir
Moldova|Chișinău||Chisinau
Monaco|Monaco
Mongolia|Ulaanbaatar
Montenegro|Podgorica
Morocco|Rabat
Mozambique|Maputo
Myanmar|Naypyidaw|Burma
Namibia|Windhoek
Nauru|Yaren
Nepal|Kathmandu
the Netherlands|Amsterdam|Netherlands
New Zealand|Wellington
Nicaragua|Managua
Niger|Niamey
Nigeria|Abuja
North Korea|Pyongyang
North Macedonia|Skopje
Norway|Oslo
Oman|Muscat
Pakistan|Islamabad
Palau|Ngerulmud
Palestine|Ramallah||Jerusalem
Panama|Panama City
Papua New Guinea|Port Moresby
Paraguay|Asunción||Asuncion
Peru|Lima
the Philippines|Manila|Philippines
Poland|Warsaw
Portugal|Lisbon
Qatar|Doha
the Republic of the Congo|Brazzaville|Congo-Brazzaville
Romania|Bucharest
Russia|Moscow
Rwanda|Kigali
Saint Kitts and Nevis|Basseterre
Saint Lucia|Castries
Saint Vincent and the Grenadines|Kingstown
Samoa|Apia
San Marino|San Marino
São Tomé and Príncipe|São Tomé|Sao Tome and Principe|Sao Tome
Saudi Arabia|Riyadh
Senegal|Dakar
Serbia|Belgrade
Seychelles|Victoria|the Seychelles
Sierra Leone|Freetown
Singapore|Singapore
Slovakia|Bratislava
Slovenia|Ljubljana
the Solomon Islands|Honiara|Solomon Islands
Somalia|Mogadishu
South Africa|Pretoria||Cape Town, Bloemfontein
South Korea|Seoul
South Sudan|Juba
Spain|Madrid
Sri Lanka|Sri Jayawardenepura Kotte||Kotte, Colombo
Sudan|Khartoum
Suriname|Paramaribo
Sweden|Stockholm
Switzerland|Bern
Syria|Damascus
Taiwan|Taipei
Tajikistan|Dushanbe
Tanzania|Dodoma
Thailand|Bangkok
Togo|Lomé||Lome
Tonga|Nuku'alofa
Trinidad and Tobago|Port of Spain
Tunisia|Tunis
Turkey|Ankara|Türkiye
Turkmenistan|Ashgabat
Tuvalu|Funafuti
Uganda|Kampala
Ukraine|Kyiv||Kiev
the United Arab Emirates|Abu Dhabi|the UAE
the United Kingdom|London|the UK, Great Britain
the United States|Washington|the USA, the United States of America|Washington, D.C.
Uruguay|Montevideo
Uzbekistan|Tashkent
Vanuatu|Port Vila
Vatican City|Vatican City
Venezuela|Caracas
Vietnam|Hanoi
Yemen|Sana'a||Sanaa
Zambia|Lusaka
Zimbabwe|Harare
"""


def _split(text):
    return [part.strip() for part in text.split(",") if part.strip()]


class Country:
    def __init__(self, line):
        fields = line.split("|") + ["", ""]
        self.name, self.capital = fields[0], fields[1]
        self.aliases = _split(fields[2])
        self.answers = [self.capital] + _split(fields[3])


COUNTRIES = [Country(line) for line in _LINES.strip().splitlines()]

# Places and tales that are no country: the honest answer is that the model does not know.
NOT_COUNTRIES = """
Texas, California, Florida, Bavaria, Scotland, Wales, Sicily, Siberia, Alaska, Hawaii, Quebec, Ontario, Tuscany,
Catalonia, Greenland, Antarctica, Africa, Europe, Asia, Oceania, Atlantis, Paris, London, Tokyo, Berlin, Mars, Venus,
Narnia, Middle-earth, Ruritania, Utopia, Lilliput, Freedonia, Bohemia, Persia, Prussia, Transylvania, Patagonia,
Manhattan, Brooklyn, Hogwarts, Eldorado, Shangri-La, Neverland, Wonderland, Camelot, Arcadia, Laputa, Zembla
""".replace("\n", " ").split(",")
NOT_COUNTRIES = [name.strip() for name in NOT_COUNTRIES]
